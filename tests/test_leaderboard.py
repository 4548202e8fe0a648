"""Boards: one file per result in its right place, ranks that the data support, pages that are current."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.making import submit
from xmbench import leaderboard
from xmbench.errors import CheckError, DocumentError, UnknownNameError
from xmbench.evaluator.evaluate import score
from xmbench.formats.dataset import Dataset
from xmbench.formats.result import Result, Score


@pytest.fixture(scope="module")
def result(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = submit(digits, tmp_path_factory.mktemp("board") / "s")
    scored = score(folder, digits, metrics=["corr2d"]).result
    return scored.model_copy(update={"primary": "corr2d"})


def system(result: Result, name: str, value: float, half: float, kind: str = "learned") -> Result:
    found: Score = result.scores["corr2d"].model_copy(
        update={"value": value, "low": value - half, "high": value + half}
    )
    named = result.submission.model_copy(update={"system": name, "kind": kind})
    return result.model_copy(update={"scores": {"corr2d": found}, "submission": named})


def test_systems_that_the_data_do_not_separate_share_a_rank(result: Result) -> None:
    found = [
        system(result, "a", 0.9, 0.02),
        system(result, "b", 0.89, 0.02),
        system(result, "c", 0.5, 0.02),
        system(result, "ceiling", 1.0, 0.0, "ceiling"),
    ]
    (board,) = leaderboard.boards(found)
    assert [(row.result.submission.system, row.rank) for row in board.rows] == [
        ("ceiling", None),
        ("a", 1),
        ("b", 1),
        ("c", 3),
    ]


def test_other_data_is_another_board(result: Result) -> None:
    other = result.model_copy(update={"dataset_digest": "0" * 64})
    assert len(leaderboard.boards([result, other])) == 2


def test_add_build_check_and_a_stale_page(result: Result, tmp_path: Path) -> None:
    source = tmp_path / "result.json"
    source.write_text(result.to_json())
    root = tmp_path / "boards"
    root.mkdir()
    placed = leaderboard.add(root, source)
    assert placed == root / "digits-ad" / "i2a" / "test-system--limit-40.json"
    with pytest.raises(CheckError):
        leaderboard.check(root)
    assert len(leaderboard.build(root)) == 2
    leaderboard.check(root)
    assert "test system" in (root / "digits-ad-i2a.md").read_text()
    (root / "README.md").write_text("edited")
    with pytest.raises(CheckError, match="out of date"):
        leaderboard.check(root)


def test_a_file_in_the_wrong_place_is_refused(result: Result, tmp_path: Path) -> None:
    wrong = tmp_path / "mnist-ad" / "i2a"
    wrong.mkdir(parents=True)
    (wrong / "x.json").write_text(result.to_json())
    (wrong / "y.json").write_text("{}")
    with pytest.raises(DocumentError) as caught:
        leaderboard.load(tmp_path)
    assert len(caught.value.problems) == 2


def test_no_boards_here(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no leaderboards here"):
        leaderboard.build(tmp_path / "none")


def test_the_repositorys_own_boards_are_valid_and_current() -> None:
    leaderboard.check(ROOT / "leaderboards")
