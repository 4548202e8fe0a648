"""A killed `score` is resumed: the same bytes, fewer measurements; nothing stale or damaged is used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.making import submit
from xmbench import registry
from xmbench.evaluator import environment, resume
from xmbench.evaluator.evaluate import PROTOCOL, Scored, score
from xmbench.evaluator.judge import load_judges
from xmbench.evaluator.save import items_path, load_scored, partial_path, score_and_save
from xmbench.formats.dataset import Dataset

METRICS = ["pesq", "corr2d", "stoi", "word-accuracy"]


def noisy(item_id: str, label: int, reference: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(item_id.encode()))
    return np.asarray(0.5 * reference + rng.normal(0, 0.02, len(reference)))


def stable(scored: Scored) -> str:
    return scored.result.model_copy(update={"environment": None, "items_table": ""}).model_dump_json()


class StopError(Exception):
    """Ends a run from within."""


def stopped_after(pairs: int) -> object:
    def report(done: int, seen: int) -> None:
        if done >= pairs:
            raise StopError

    return report


def interrupted(digits: Dataset, folder: Path, out: Path, pairs: int = 20) -> None:
    with pytest.raises(StopError):
        score_and_save(folder, digits, out, metrics=METRICS, progress=stopped_after(pairs))  # type: ignore[arg-type]
    assert not out.exists()
    assert list(partial_path(out).glob("*.arrow"))


def test_an_interrupted_run_is_resumed_with_the_same_bytes(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s", noisy)
    whole = score_and_save(folder, digits, tmp_path / "whole.json", metrics=METRICS)
    out = tmp_path / "result.json"
    interrupted(digits, folder, out)
    again = score_and_save(folder, digits, out, metrics=METRICS)
    assert 16 <= again.resumed < 40
    assert stable(again) == stable(whole)
    assert load_scored(out)[1].equals(load_scored(tmp_path / "whole.json")[1])
    assert not partial_path(out).exists()


def test_a_run_killed_outright_is_resumed(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s", noisy)
    out = tmp_path / "result.json"
    code = (
        "from xmbench.evaluator import resume; resume.INTERVAL_S = 0.0\n"
        "import sys; sys.argv[0] = 'xmbench'\nfrom xmbench.cli import main; main()"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "score",
        folder,
        "--data",
        digits.folder,
        "--out",
        out,
        "--metrics",
        "pesq,pesq-wb,corr2d",
        "--workers",
        "1",
    ]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(partial_path(out).glob("*.arrow")) and time.monotonic() < until and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    (partial_path(out) / f".{'0' * 64}.arrow.123.tmp").write_bytes(b"half a part")
    again = score_and_save(folder, digits, out, metrics=["pesq", "pesq-wb", "corr2d"])
    assert 0 < again.resumed < 40
    whole = score_and_save(folder, digits, tmp_path / "whole.json", metrics=["pesq", "pesq-wb", "corr2d"])
    assert whole.resumed == 0
    assert not partial_path(out).exists()
    assert stable(again) == stable(whole)
    assert items_path(out).read_bytes() == items_path(tmp_path / "whole.json").read_bytes()


def test_a_damaged_part_is_measured_again(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s", noisy)
    out = tmp_path / "result.json"
    interrupted(digits, folder, out)
    for part in partial_path(out).glob("*.arrow"):
        data = bytearray(part.read_bytes())
        data[len(data) // 2] ^= 1
        part.write_bytes(data)
    (partial_path(out) / f"{'0' * 64}.arrow").write_bytes(b"")
    again = score_and_save(folder, digits, out, metrics=METRICS)
    assert again.resumed == 0
    assert not partial_path(out).exists()


def test_another_metric_version_protocol_or_judge_is_measured_again(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = submit(digits, tmp_path / "s", noisy)
    judge, _ = load_judges(digits, digits.recipe.tracks[0])
    assert judge is not None
    parts = tmp_path / "result.partial"
    monkeypatch.setattr(resume, "INTERVAL_S", 0.0)
    score(folder, digits, metrics=METRICS, judge=judge, partial=parts)

    def known(protocol: str = PROTOCOL, sha256: str = judge.card.sha256) -> set[str]:
        found = resume.measurements(parts, digits, METRICS, sha256, protocol)
        return {name for own in found._earlier.values() for name in own}

    assert known() == set(METRICS)
    assert known(protocol="xmbench-protocol/1") == set()
    assert known(sha256="0" * 64) == {"pesq", "corr2d", "stoi"}
    metric = registry.metric("pesq")
    changed = replace(metric, version="2")  # type: ignore[type-var]
    monkeypatch.setattr(
        registry, "metric", lambda name, real=registry.metric: changed if name == "pesq" else real(name)
    )
    assert known() == {"corr2d", "stoi", "word-accuracy"}


def test_a_changed_output_is_measured_again_and_the_rest_is_not(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s", noisy)
    out = tmp_path / "result.json"
    interrupted(digits, folder, out, pairs=40)
    first = sorted((folder / "outputs").iterdir())[0]
    first.write_bytes(sorted((folder / "outputs").iterdir())[1].read_bytes())
    again = score_and_save(folder, digits, out, metrics=METRICS)
    assert again.resumed == 39
    judge, second = load_judges(digits, digits.recipe.tracks[0])
    fresh = score(folder, digits, metrics=METRICS, judge=judge, second_judge=second)
    assert stable(again) == stable(fresh)


def test_what_an_edited_checkout_measured_before_the_edit_is_measured_again(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-dirty` names every uncommitted state: resuming after a change to a metric would mix two of them."""
    folder = submit(digits, tmp_path / "s", noisy)
    parts = tmp_path / "result.partial"
    monkeypatch.setattr(resume, "INTERVAL_S", 0.0)
    here = environment.environment("")
    monkeypatch.setattr(environment, "environment", lambda _: here.model_copy(update={"commit": f"{'a' * 40}-dirty"}))
    monkeypatch.setattr(environment, "changes", lambda: "before")
    score(folder, digits, metrics=["corr2d"], partial=parts)

    def known() -> int:
        return len(resume.measurements(parts, digits, ["corr2d"], "", PROTOCOL)._earlier)

    assert known() == 40
    monkeypatch.setattr(environment, "changes", lambda: "after")
    assert known() == 0


def test_foreign_files_next_to_the_parts_stay(digits: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    partial_path(out).mkdir()
    (partial_path(out) / "notes.txt").write_text("mine")
    score_and_save(submit(digits, tmp_path / "s"), digits, out, metrics=["stoi"])
    assert [path.name for path in partial_path(out).iterdir()] == ["notes.txt"]
