"""What a submission declares, and what `check` finds of it: judges inside a system, stored items as generated ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.making import submit, wav
from xmbench import content, runner
from xmbench.cli.program import app
from xmbench.evaluator import stored
from xmbench.evaluator.check import Severity, check
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml


def noisy(_id: str, _label: int, reference: np.ndarray[Any, Any]) -> Any:
    return np.clip(reference + np.random.default_rng(0).normal(0, 0.01, len(reference)), -1, 1)


def submission_wide(dataset: Dataset, folder: Path) -> dict[str, tuple[str, Severity]]:
    found = check(folder, dataset)
    return {each.kind: (each.detail, each.severity) for each in (*found.problems, *found.notes) if not each.id}


def test_a_system_that_does_not_say_whether_it_uses_the_judges_is_asked(digits: Dataset, tmp_path: Path) -> None:
    detail, severity = submission_wide(digits, submit(digits, tmp_path / "s", noisy))["declaration"]
    assert 'state "uses_judges": false' in detail
    assert severity is Severity.note
    stated = submit(digits, tmp_path / "t", noisy, uses_judges=False)
    assert "declaration" not in submission_wide(digits, stated)


def test_a_system_that_uses_the_judges_is_a_problem_and_exits_with_1(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s", noisy, uses_judges=True)
    checked = CliRunner().invoke(app, ["check", str(folder), "--data", str(digits.folder), "--json"])
    assert checked.exit_code == 1
    (problem,) = json.loads(checked.stdout)["problems"]
    assert problem["kind"] == "uses-judges"
    assert "not ranked" in problem["detail"]


@pytest.mark.parametrize("kind", ["floor", "ceiling", "reference"])
def test_rows_that_help_to_read_a_board_are_not_asked(digits: Dataset, tmp_path: Path, kind: str) -> None:
    assert "declaration" not in submission_wide(digits, submit(digits, tmp_path / "s", noisy, kind=kind))


def test_stored_clips_of_a_learned_system_are_named_as_retrieval(digits: Dataset, tmp_path: Path) -> None:
    detail, severity = submission_wide(digits, submit(digits, tmp_path / "s"))["retrieval"]
    assert "40 of the split train" in detail  # in single-take data the references are the training clips
    assert '"retrieval"' in detail
    assert severity is Severity.note
    # another format of the same samples is the same clip
    as_float = submit(digits, tmp_path / "float", lambda _i, _l, x: wav(x, subtype="FLOAT"))
    assert "retrieval" in submission_wide(digits, as_float)
    assert "retrieval" not in submission_wide(digits, submit(digits, tmp_path / "honest", kind="retrieval"))
    assert "retrieval" not in submission_wide(digits, submit(digits, tmp_path / "noisy", noisy))


@pytest.mark.parametrize("name", ["oracle-class", "random-image", "identity-image"])
def test_stored_items_of_both_directions_are_found(digits: Dataset, tmp_path: Path, name: str) -> None:
    baseline = load_toml(content.find("baselines", name), Baseline)
    made = runner.run(baseline, digits, tmp_path / "run", progress=lambda _line: None).submission
    path = made / "submission.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "kind": "learned"}))
    detail, _ = submission_wide(digits, made)["retrieval"]
    assert f"40 of the split {'test' if name == 'identity-image' else 'train'}" in detail


def test_only_so_many_items_of_a_split_are_compared(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST_ROWS", 0)
    assert "retrieval" not in submission_wide(digits, submit(digits, tmp_path / "s"))
