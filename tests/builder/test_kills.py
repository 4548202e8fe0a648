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

from tests import inis_corpus, link_site, sub_urmp_corpus, urmp_corpus
from tests.conftest import shared
from xmbench.builder.plan import load_recipe
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
    "urmp-mini",
    "urmp-windows",
    "sub-urmp",
    "inis",
)
INSTRUMENTS = ("urmp-windows", "sub-urmp", "inis")
ON_ITS_OWN = ("digits-ad", "urmp-mini")  # they bring or make their files
MOMENTS = 10
CLASSES = load_recipe("inis").classes.names
SEED = 20261121


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real files in their published layouts."""
    out = tmp_path_factory.mktemp("upstream")
    subprocess.run([sys.executable, str(shared("data", "unpack.py")), str(out)], check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Corpora of the instruments from real frames, photographs and sounds, by recipe."""
    out = tmp_path_factory.mktemp("corpora")
    urmp_corpus.real_corpus(out / "urmp" / "Dataset")
    sub_urmp_corpus.real_corpus(out / "sub-urmp" / "Sub-URMP")
    inis_corpus.real_corpus(out / "inis", CLASSES)
    return {"urmp-windows": out / "urmp", "sub-urmp": out / "sub-urmp", "inis": out / "inis"}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_ten_kills_at_random_moments_end_at_the_same_digest(
    recipe: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """SIGKILL to the whole process group; every second time the cache is lost as well."""
    source: Path | None = None
    if recipe in INSTRUMENTS:
        source = request.getfixturevalue("corpora")[recipe]
    elif recipe not in ON_ITS_OWN:
        source = request.getfixturevalue("upstream")
    _kill_ten_times(recipe, source, tmp_path)


@pytest.mark.slow
def test_ten_kills_while_linked_recordings_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fetch that was under way ends with its build; what had come stays, and nothing half stays."""
    pytest.importorskip("yt_dlp")
    monkeypatch.setenv("XMBENCH_LINK_PAUSE_S", "0")
    with link_site.site() as site:
        inis_corpus.linked_corpus(tmp_path / "in", CLASSES, site)
        _kill_ten_times("inis", tmp_path / "in", tmp_path, offline=False)
    jobs = list((tmp_path / "cache" / "links" / "jobs").iterdir())
    assert [path.name for path in jobs if path.suffix != ".lock"] == []


def _kill_ten_times(recipe: str, source: Path | None, tmp_path: Path, offline: bool = True) -> None:
    def start(out: Path) -> subprocess.Popen[bytes]:
        return _start(recipe, source, out, cache, offline)

    cache = tmp_path / "cache"
    began = time.monotonic()
    straight = start(tmp_path / "straight")
    assert straight.wait() == 0, _said(straight)
    taken_s = time.monotonic() - began
    wanted = open_dataset(tmp_path / "straight").digest
    moments = random.Random(f"{SEED} {recipe}")
    hit = 0
    for kill in range(MOMENTS):
        out = tmp_path / f"killed-{kill}"
        if kill % 2:
            shutil.rmtree(cache, ignore_errors=True)
        broken = start(out)
        time.sleep(moments.uniform(0.2, 1.0) * taken_s)
        os.killpg(broken.pid, signal.SIGKILL)
        hit += broken.wait() == -signal.SIGKILL
        again = start(out)
        assert again.wait() == 0, _said(again)
        dataset = open_dataset(out)
        assert dataset.digest == wanted
        assert validate(dataset).problems == []
        assert {path.name for path in out.iterdir()} == {"README.md", "data", "ledger.parquet", "manifest.json"}
        shutil.rmtree(out)
    assert hit >= MOMENTS // 2, f"only {hit} of the kills found the build at work"


def _start(recipe: str, source: Path | None, out: Path, cache: Path, offline: bool) -> subprocess.Popen[bytes]:
    """`xmbench build RECIPE --limit 200` in a process group of its own."""
    command = [sys.executable, "-c", "from xmbench.cli import main; main()", "build", recipe, "--limit", "200"]
    command += ["--out", str(out), "--workers", "2", *(["--offline"] if offline else [])]
    if source is not None:
        command += ["--source", str(source), "--accept-changed-sources"]
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
