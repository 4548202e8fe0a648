"""Runs in several pieces: the time limit, and the seconds of training over all pieces."""

from __future__ import annotations

import functools
import os
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from xmbench import content, runner
from xmbench.errors import DocumentError, PrerequisiteError, UnfinishedError
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json, load_toml
from xmbench.formats.submission import Submission
from xmbench.runner.pieces import Pieces

SMALL = {"min_steps": 12, "epochs": 1, "width": 4}


def run(name: str, dataset: Dataset, out: Path, **options: Any) -> runner.RunSummary:
    baseline = load_toml(content.find("baselines", name), Baseline)
    overrides = SMALL if name == "nearest-class-clip" else {}
    return runner.run(baseline, dataset, out, **{"overrides": overrides, "progress": lambda _line: None, **options})


def record_in(folder: Path) -> runner.RunRecord:
    return load_json(folder / "run.json", runner.RunRecord)


def outputs(folder: Path) -> Any:
    return pq.read_table(folder / "outputs.parquet").to_pylist()


@pytest.mark.parametrize(
    ("text", "seconds"), [("8m", 480), ("90s", 90), ("1h30m", 5400), ("1h1s", 3601), (" 2m ", 120)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert runner.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "8", "m", "0s", "8 m", "1.5h", "30m1h", "-3m", "8m or so"])
def test_what_is_not_a_length_of_time(text: str) -> None:
    with pytest.raises(DocumentError, match="like 8m, 90s or 1h30m"):
        runner.parse_duration(text)


def test_a_time_limit_ends_a_run_that_resumes_to_the_same_outputs(tmp_path: Path, digits: Dataset) -> None:
    whole = run("nearest-class-clip", digits, tmp_path / "whole")
    out, stops = tmp_path / "pieces", 0
    while True:
        with pytest.raises(UnfinishedError) as caught:  # the limit has passed: each piece takes one step
            run("nearest-class-clip", digits, out, resume=True, time_limit_s=1e-9)
        if "the training is finished" in str(caught.value):
            break
        stops += 1
        assert f"at step {stops} of " in str(caught.value)
        assert not (out / "submission").exists()
        assert record_in(out).training_seconds is None
    assert list((out / "submission").iterdir()) == []
    assert stops == record_in(out).phases["classifier"].planned - 1
    summary = run("nearest-class-clip", digits, out, resume=True, time_limit_s=600)
    assert outputs(whole.submission) == outputs(summary.submission)


def test_the_seconds_of_all_pieces_are_summed(tmp_path: Path, digits: Dataset) -> None:
    found = []
    for _ in range(2):
        with pytest.raises(UnfinishedError):
            run("nearest-class-clip", digits, tmp_path, resume=True, time_limit_s=1e-9)
        found.append(record_in(tmp_path).unfinished_seconds)
    assert 0 < found[0] < found[1]
    summary = run("nearest-class-clip", digits, tmp_path, resume=True)
    record = record_in(tmp_path)
    assert record.training_seconds is not None
    assert summary.training_seconds == record.training_seconds > found[1]
    assert record.unfinished_seconds == 0
    document = load_json(tmp_path / "submission" / "submission.json", Submission)
    assert document.training_seconds == record.training_seconds
    # Its outputs are generated again: nothing is trained, and nothing is added.
    assert run("nearest-class-clip", digits, tmp_path, resume=True).training_seconds == record.training_seconds


def test_a_killed_piece_counts_up_to_its_last_checkpoint(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xmbench.training.checkpoints.EVERY_S", 0.0)
    monkeypatch.setattr("xmbench.training.checkpoints.SHARE", 1e9)
    child = os.fork()
    if child == 0:
        keep = Pieces.keep

        def die(self: Pieces, phases: Any) -> None:
            keep(self, phases)
            if phases["classifier"].done >= 5:
                os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(Pieces, "keep", die)
        try:
            run("nearest-class-clip", digits, tmp_path)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    record = record_in(tmp_path)
    assert record.training_seconds is None
    assert record.unfinished_seconds > 0
    assert record.phases["classifier"].steps == 5
    assert run("nearest-class-clip", digits, tmp_path, resume=True).training_seconds > record.unfinished_seconds


def test_a_run_records_its_phases_and_the_number_of_its_weights(tmp_path: Path, digits: Dataset) -> None:
    summary = run("nearest-class-clip", digits, tmp_path / "learned")
    phase = record_in(tmp_path / "learned").phases["classifier"]
    assert phase.steps == phase.planned
    assert phase.selected
    document = load_json(summary.submission / "submission.json", Submission)
    assert document.parameters == phase.parameters > 0
    bound = run("silence", digits, tmp_path / "bound")
    assert load_json(bound.submission / "submission.json", Submission).parameters is None


def test_seeds_share_one_limit(tmp_path: Path, digits: Dataset) -> None:
    baseline = load_toml(content.find("baselines", "silence"), Baseline)

    def seeds(limit: float | None) -> list[runner.RunSummary]:
        return runner.run_seeds(
            baseline, digits, tmp_path, (0, 1), resume=True, time_limit_s=limit, progress=lambda _line: None
        )

    with pytest.raises(UnfinishedError, match="seed 0 has not begun"):
        seeds(1e-9)
    assert list(tmp_path.iterdir()) == []
    assert len(seeds(600)) == 2


@pytest.mark.parametrize("several", [True, False])
def test_a_device_is_checked_before_anything_is_written(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch, several: bool
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    baseline = load_toml(content.find("baselines", "nearest-class-clip"), Baseline)
    work: Any = functools.partial(runner.run_seeds, seeds=(0, 1)) if several else runner.run
    with pytest.raises(PrerequisiteError, match="CUDA"):
        work(baseline, digits, tmp_path / "run", device="cuda", progress=lambda _line: None)
    assert not (tmp_path / "run").exists()


def test_a_precision_is_checked_before_anything_is_written(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.set_device", lambda _number: None)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Tesla V100")
    with pytest.raises(PrerequisiteError, match="bf16"):
        run("mtnet", digits, tmp_path / "run", overrides={"precision": "bf16"}, device="cuda")
    assert not (tmp_path / "run").exists()


def test_time_goes_on_in_the_record_of_a_run_that_fails(tmp_path: Path) -> None:
    record = runner.RunRecord(baseline="x", preset=None, settings={}, command="", hardware="", versions={})
    pieces = Pieces(tmp_path / "run.json", record.model_copy(update={"unfinished_seconds": 100.0}))
    time.sleep(0.02)
    with pytest.raises(ZeroDivisionError), pieces.training({}):
        _ = 1 / 0
    assert 100.02 <= record_in(tmp_path).unfinished_seconds < 110
