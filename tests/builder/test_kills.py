"""A build killed at any moment, on every recipe and the real files: the same command then ends at the same digest."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import shared
from xmbench.formats.dataset import open_dataset
from xmbench.inspection.validate import validate

RECIPES = (
    "digits-ad",
    "mnist-ad",
    "mnist-ad-voices",
    "mnist-ad-human",
    "cifar10-ad",
    "cifar10-ad-voices",
    "cifar100-ad",
    "cifar100-ad-voices",
)
MOMENTS = 10
SEED = 20261121


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real files in their published layouts."""
    out = tmp_path_factory.mktemp("upstream")
    subprocess.run([sys.executable, str(shared("data", "unpack.py")), str(out)], check=True, capture_output=True)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_ten_kills_at_random_moments_end_at_the_same_digest(recipe: str, upstream: Path, tmp_path: Path) -> None:
    """SIGKILL to the whole process group; every second time the cache is lost as well."""
    cache = tmp_path / "cache"
    began = time.monotonic()
    straight = _start(recipe, upstream, tmp_path / "straight", cache)
    assert straight.wait() == 0, _said(straight)
    taken_s = time.monotonic() - began
    wanted = open_dataset(tmp_path / "straight").digest
    moments = random.Random(f"{SEED} {recipe}")
    hit = 0
    for kill in range(MOMENTS):
        out = tmp_path / f"killed-{kill}"
        if kill % 2:
            shutil.rmtree(cache, ignore_errors=True)
        broken = _start(recipe, upstream, out, cache)
        time.sleep(moments.uniform(0.2, 1.0) * taken_s)
        os.killpg(broken.pid, signal.SIGKILL)
        hit += broken.wait() == -signal.SIGKILL
        again = _start(recipe, upstream, out, cache)
        assert again.wait() == 0, _said(again)
        dataset = open_dataset(out)
        assert dataset.digest == wanted
        assert validate(dataset).problems == []
        assert {path.name for path in out.iterdir()} == {"README.md", "data", "ledger.parquet", "manifest.json"}
        shutil.rmtree(out)
    assert hit >= MOMENTS // 2, f"only {hit} of the kills found the build at work"


def _start(recipe: str, upstream: Path, out: Path, cache: Path) -> subprocess.Popen[bytes]:
    """`xmbench build RECIPE --limit 200` in a process group of its own."""
    command = [sys.executable, "-c", "from xmbench.cli import main; main()", "build", recipe, "--limit", "200"]
    command += ["--out", str(out), "--workers", "2", "--offline"]
    if recipe != "digits-ad":
        command += ["--source", str(upstream), "--accept-changed-sources"]
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, env={**os.environ, "XMBENCH_CACHE": str(cache)}
        )


def _said(process: subprocess.Popen[bytes]) -> str:
    """What the last run left in its log."""
    arguments = process.args
    assert isinstance(arguments, list)
    out = Path(arguments[arguments.index("--out") + 1])
    return (out.parent / f"{out.name}.log").read_text()
