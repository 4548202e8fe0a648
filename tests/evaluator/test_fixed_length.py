"""What a fixed length cuts off must be silence: a sound that continues is scored as cut, and is a problem."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.making import Samples, submit, wav
from xmbench.cli.program import app
from xmbench.evaluator.check import Severity, check
from xmbench.evaluator.decode import decode_output
from xmbench.evaluator.evaluate import score
from xmbench.evaluator.outputs import RawOutput
from xmbench.formats.dataset import Dataset
from xmbench.interfaces import AudioFormat, ImageFormat, Task

LENGTH = 18140
TASK = Task(("zero",), ("zero",), ImageFormat(28, 28, 1), AudioFormat(22050, LENGTH, 0.1, 0.8))
WORD = 0.3 * np.sin(np.arange(LENGTH) / 20)


def status(samples: Samples, subtype: str = "FLOAT") -> str:
    return decode_output(RawOutput("a", ".wav", wav(samples, subtype=subtype)), TASK, "i2a").status


def test_half_a_minute_of_anything_after_the_end_is_a_problem_of_every_item(digits: Dataset, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 30 * 22050)
    plain = score(submit(digits, tmp_path / "plain"), digits, metrics=["corr2d", "stoi"])
    long = submit(digits, tmp_path / "long", lambda _i, _l, x: wav(np.concatenate([x, noise[: 31 * LENGTH]])))
    found = check(long, digits)
    assert {problem.id for problem in found.problems} == set(digits.table("test", []).column("id").to_pylist())
    assert {(problem.kind, problem.severity) for problem in found.problems} == {("too-long", Severity.error)}
    assert "the sound continues" in found.problems[0].detail
    scored = score(long, digits, metrics=["corr2d", "stoi"])
    assert [problem.kind for problem in scored.problems] == ["too-long"] * found.items
    assert set(scored.items.column("status").to_pylist()) == {"too-long"}
    for name, own in scored.result.scores.items():  # the protocol cuts: the number is that of what is kept
        assert (own.value, own.coverage) == (plain.result.scores[name].value, 1.0)


def test_check_and_score_then_exit_with_1(digits: Dataset, tmp_path: Path) -> None:
    first = digits.table("test", []).column("id")[0].as_py()
    folder = submit(digits, tmp_path / "s", lambda i, _, x: np.concatenate([x, x]) if i == first else x)
    checked = CliRunner().invoke(app, ["check", str(folder), "--data", str(digits.folder), "--json"])
    assert checked.exit_code == 1
    (problem,) = json.loads(checked.stdout)["problems"]
    assert (problem["id"], problem["kind"], problem["severity"]) == (first, "too-long", "error")
    words = ["score", str(folder), "--data", str(digits.folder), "--metrics", "corr2d", "--workers", "1"]
    scored = CliRunner().invoke(app, words)
    assert scored.exit_code == 1
    assert first in scored.output


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_silence_after_the_end_is_harmless(subtype: str) -> None:
    for tail in (np.zeros(1), np.zeros(22050), 1e-5 * np.ones(500), 2.7e-4 * np.sin(np.arange(9999))):
        assert status(np.concatenate([WORD, tail]), subtype) == "ok"
    assert status(WORD[:100], subtype) == "ok"


def test_what_counts_as_silence_is_stated() -> None:
    peak = float(np.abs(WORD).max())
    assert status(np.append(WORD, 0.99e-3 * peak)) == "ok"
    assert status(np.append(WORD, 1.01e-3 * peak)) == "too-long"
    soft = WORD * 1e-3  # then one step of 16 bits is the limit
    assert status(np.append(soft, 0.99 / 32768)) == "ok"
    assert status(np.append(soft, 1.01 / 32768)) == "too-long"


def test_a_huge_sample_that_is_clipped_hides_nothing() -> None:
    loud = WORD.copy()
    loud[0] = 1e9
    assert status(np.concatenate([loud, 0.1 * WORD])) == "too-long"


def test_a_sound_that_begins_after_the_end_is_silent_and_says_so() -> None:
    decoded = decode_output(RawOutput("a", ".wav", wav(np.concatenate([0 * WORD, WORD]))), TASK, "i2a")
    assert (decoded.status, decoded.media) == ("silent", None)
    assert "the sound continues" in decoded.detail


@settings(max_examples=60, deadline=None)
@given(gain=st.floats(1e-3, 3.0), extra=st.integers(1, 5000), level=st.floats(0.0, 2.0), at=st.floats(0.0, 1.0))
def test_only_what_is_after_the_end_decides(gain: float, extra: int, level: float, at: float) -> None:
    tail = np.zeros(extra)
    tail[int(at * (extra - 1))] = level
    kept = np.clip(gain * WORD, -1, 1)
    allowed = max(1e-3 * float(np.abs(kept.astype(np.float32)).max()), 1 / 32768)
    if abs(level - allowed) > 1e-6:
        assert status(np.concatenate([gain * WORD, tail])) == ("ok" if level < allowed else "too-long")
