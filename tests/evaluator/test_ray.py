"""`--engine ray`: the same numbers from a Ray cluster; a clear message where Ray is not installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.making import submit
from xmbench.errors import PrerequisiteError
from xmbench.evaluator.evaluate import Scored, score
from xmbench.formats.dataset import Dataset

RAY = importlib.util.find_spec("ray") is not None


def noisy(item_id: str, label: int, reference: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(item_id.encode()))
    return np.asarray(0.5 * reference + rng.normal(0, 0.02, len(reference)))


def stable(scored: Scored) -> str:
    return scored.result.model_copy(update={"environment": None}).model_dump_json()


@pytest.mark.skipif(RAY, reason="Ray is installed")
def test_without_ray_the_message_says_what_to_install(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match=r"pip install 'xmbench\[ray\]'"):
        score(submit(digits, tmp_path / "s"), digits, metrics=["stoi"], engine="ray")


def test_an_address_without_the_engine_is_refused(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s")
    command = [sys.executable, "-m", "xmbench", "score", folder, "--data", digits.folder, "--ray-address", "auto"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs --engine ray" in done.stderr


@pytest.mark.skipif(not RAY, reason="Ray is not installed: pip install 'xmbench[ray]'")
@pytest.mark.filterwarnings("default")
def test_ray_gives_the_same_result(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s", noisy)
    metrics = ["corr2d", "pesq", "stoi", "estoi"]
    here = score(folder, digits, metrics=metrics)
    there = score(folder, digits, metrics=metrics, engine="ray")
    assert stable(here) == stable(there)
    assert here.items.equals(there.items)


@pytest.mark.skipif(not RAY, reason="Ray is not installed: pip install 'xmbench[ray]'")
@pytest.mark.filterwarnings("default")
def test_no_cluster_at_the_address_is_explained(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="Ray cannot be started"):
        score(submit(digits, tmp_path / "s"), digits, metrics=["stoi"], engine="ray", ray_address="127.0.0.1:1")
