"""Harvests on other engines and through kills: the same corpus, and nothing left over. Minutes, not seconds."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harvester import corpus
from xmbench.execution.engine import Workers
from xmbench.formats.harvest import CandidateSpec, HarvestSpec
from xmbench.harvester.harvest import Request, harvest

pytestmark = pytest.mark.slow
_KILLS = 10


def _files(out: Path) -> dict[str, str]:
    folder = out / "candidates"
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("soundnet")
    corpus.soundnet(root, range(200), frames=1)
    return root


@pytest.fixture(scope="module")
def reference(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "out"
    harvest(_request(released), out, workers=Workers(1))
    return out


def _request(root: Path) -> Request:
    spec = HarvestSpec(annotators=("esc10-sounds",), candidates=(CandidateSpec(layout="soundnet"),))
    return Request(spec, root)


@pytest.mark.parametrize("workers", [Workers(2), Workers(1, "ray")], ids=["two processes", "ray"])
def test_other_engines_give_the_same_corpus(released: Path, reference: Path, tmp_path: Path, workers: Workers) -> None:
    if workers.engine == "ray":
        pytest.importorskip("ray")
    harvest(_request(released), tmp_path / "out", workers=workers)
    assert _files(tmp_path / "out") == _files(reference)


def test_ten_kills_lose_nothing(released: Path, reference: Path, tmp_path: Path) -> None:
    out, seed, kills = tmp_path / "out", random.Random(5), 0
    command = [sys.executable, "-m", "xmbench", "harvest", str(released), "--out", str(out)]
    command += ["--annotators", "esc10-sounds", "--workers"]
    while kills < _KILLS:
        running = subprocess.Popen([*command, str(1 + kills % 2)], start_new_session=True, stderr=subprocess.DEVNULL)
        before = len(list(out.glob("candidates/part-*")))
        ends = time.monotonic() + 120  # once something new is written, or soon after
        while running.poll() is None and time.monotonic() < ends and len(list(out.glob("candidates/part-*"))) == before:
            time.sleep(0.02)
        time.sleep(seed.uniform(0, 0.4))
        if running.poll() is not None:
            break
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        kills += 1
        if before + 2 >= len(_files(reference)):
            (out / "candidates").joinpath("part-00000-of-00007.parquet").unlink(missing_ok=True)
    subprocess.run([*command, "1"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert _files(out) == _files(reference)
    assert not list(out.rglob(".*.tmp"))
    assert kills
