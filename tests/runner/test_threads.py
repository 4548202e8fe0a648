"""Threads of the processor: set by the configuration, the same on any number of cores, recorded, and put back."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from xmbench import content, runner
from xmbench.errors import DocumentError, OutputError
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json, load_toml
from xmbench.formats.submission import Submission
from xmbench.runner.threads import used_threads

# Wide enough for PyTorch to share a sum between threads.
WIDE: dict[str, Any] = {
    "autoencoder_epochs": 1,
    "autoencoder_min_steps": 3,
    "joint_epochs": 1,
    "joint_min_steps": 3,
    "joint_batch": 32,
}
NARROW: dict[str, Any] = {
    **WIDE,
    "widths": [4, 6],
    "strides": [2, 2],
    "autoencoder_widths": [24, 16, 16, 16, 24],
    "code_shape": [4, 4],
    "generator_hidden": 8,
}


def run(dataset: Dataset, out: Path, name: str = "mtnet", **options: Any) -> runner.RunSummary:
    baseline = load_toml(content.find("baselines", name), Baseline)
    return runner.run(baseline, dataset, out, **{"device": "cpu", "progress": lambda _line: None, **options})


def document_of(summary: runner.RunSummary) -> Submission:
    return load_json(summary.submission / "submission.json", Submission)


def digest_of_run(folder: Path) -> str:
    """sha256 of every weight and of the outputs."""
    total = hashlib.sha256()
    for path in sorted((folder / "checkpoints").glob("*.safetensors")):
        for name, weight in sorted(load_file(path).items()):
            total.update(name.encode() + weight.contiguous().numpy().tobytes())
    return total.hexdigest() + hashlib.sha256((folder / "submission" / "outputs.parquet").read_bytes()).hexdigest()


def test_a_seed_gives_the_same_weights_and_outputs_on_any_number_of_cores(tmp_path: Path, digits: Dataset) -> None:
    found = {}
    for cores in ("1", "2"):
        out = tmp_path / cores
        words = ["run-baseline", "mtnet", "--preset", "lite", "--device", "cpu", "--data", digits.folder, "--out", out]
        settings = [word for key, value in WIDE.items() for word in ("--set", f"{key}={value}")]
        done = subprocess.run(
            [sys.executable, "-m", "xmbench", *map(str, words), *settings],
            env={**os.environ, "OMP_NUM_THREADS": cores},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        found[cores] = digest_of_run(out)
        assert json.loads((out / "submission" / "submission.json").read_text())["threads"] == 1
    assert found["1"] == found["2"]


def test_other_threads_are_a_changed_setting_that_the_row_shows(tmp_path: Path, digits: Dataset) -> None:
    summary = run(digits, tmp_path / "run", overrides={**NARROW, "threads": 2})
    document = document_of(summary)
    assert (document.threads, document.changed["threads"]) == (2, 2)
    assert "threads=2" in document.system
    assert "--set threads=2" in document.command
    assert load_json(tmp_path / "run" / "run.json", runner.RunRecord).settings["threads"] == 2


def test_threads_are_in_force_from_training_to_generation_and_put_back(tmp_path: Path, digits: Dataset) -> None:
    seen: dict[str, int] = {}
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        run(
            digits,
            tmp_path / "run",
            overrides=NARROW,
            progress=lambda line: seen.update({line: torch.get_num_threads()}),
        )
        assert set(seen.values()) == {1}
        assert {line.split(":")[0] for line in seen} >= {"autoencoder", "joint", "generation"}
        assert torch.get_num_threads() == 3
        with pytest.raises(OutputError):
            run(digits, tmp_path / "run", overrides=NARROW)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_run_is_not_resumed_with_other_threads(tmp_path: Path, digits: Dataset) -> None:
    run(digits, tmp_path / "run", overrides=NARROW)
    with pytest.raises(OutputError) as caught:
        run(digits, tmp_path / "run", overrides={**NARROW, "threads": 2}, resume=True)
    assert caught.value.problems == ("threads: 1 there, 2 here",)


def test_a_floor_needs_no_threads_and_says_none(tmp_path: Path, digits: Dataset) -> None:
    summary = run(digits, tmp_path / "run", "silence")
    assert document_of(summary).threads is None
    assert "threads" not in load_json(tmp_path / "run" / "run.json", runner.RunRecord).settings
    stated = run(digits, tmp_path / "stated", "silence", overrides={"threads": 2})
    assert document_of(stated).threads == 2


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "two", True, 10**9])
def test_threads_that_are_no_number_of_threads(tmp_path: Path, digits: Dataset, wrong: object) -> None:
    with pytest.raises(DocumentError) as caught:
        run(digits, tmp_path / "run", overrides={"threads": wrong})
    assert "threads" in str(caught.value.problems)
    assert caught.value.where == "--set"
    assert not (tmp_path / "run").exists()


def test_beside_a_gpu_threads_are_pytorchs_unless_they_are_stated() -> None:
    assert [used_threads(stated, device) for stated in (None, 4) for device in ("cpu", "cuda")] == [1, None, 4, 4]


def test_shipped_baselines_state_that_they_use_no_judge(tmp_path: Path, digits: Dataset) -> None:
    assert document_of(run(digits, tmp_path / "run", "random-clip")).uses_judges is False
