"""Raters' files: every problem is named and nothing is lost; the summary is what one computes by hand."""

from __future__ import annotations

import contextlib
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from typer.testing import CliRunner

from tests.fuzz.mutations import mutated
from tests.made_ratings import make_key, rater_file
from xmbench.cli import app
from xmbench.errors import DocumentError
from xmbench.evaluator.rater_files import read_raters
from xmbench.evaluator.rating_summary import summarise
from xmbench.formats.document import load_json
from xmbench.formats.rating_kit import RatedSet, RatingKey
from xmbench.formats.ratings import Scale, read_ratings


def given(one: RatedSet, which: int, again: bool) -> int:
    """Ann: 2 for the first system, 0 or 1 for the second, 3 for the ground truth; less when shown again."""
    return max(0, [2, int(one.name[1:]) % 2, 3][which] - again)


def strict(one: RatedSet, which: int, again: bool) -> int:
    """Bob: 1, 0 and 2, the same when shown again."""
    return [1, 0, 2][which]


def run(*arguments: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["rate", *map(str, arguments)])
    return found.exit_code, found.output


# ------------------------------------------------------------------------------------------------ numbers
def test_the_summary_by_hand(tmp_path: Path) -> None:
    key = make_key(sets=6, twice=1)
    rater_file(tmp_path, key, "ann", given)
    rater_file(tmp_path, key, "bob", strict)
    found = summarise(key, read_raters(tmp_path, key))
    good, bad, real = found.systems
    assert (good.mean, bad.mean, real.mean) == (1.5, 0.25, 2.5)
    assert (good.items, good.ratings, good.shares) == (6, 12, (0.0, 0.5, 0.5, 0.0))
    assert bad.shares == (9 / 12, 3 / 12, 0.0, 0.0)
    # Classes in turn: cello has the items 0 and 3, which ann gives 0 and 1, and bob 0.
    assert {name: (own.mean, own.items) for name, own in bad.classes.items()} == {
        "cello": (0.25, 2),
        "flute": (0.25, 2),
        "violin": (0.25, 2),
    }
    # Ann is stricter the second time: 1, 0, 2 after 2, 0, 3.
    ann, bob = found.raters
    assert ann.consistency is not None
    assert (ann.consistency.pairs, ann.consistency.same, ann.consistency.difference) == (3, 1 / 3, 2 / 3)
    assert bob.consistency is not None
    assert bob.consistency.same == 1


def test_scores_that_were_given_twice_by_hand(tmp_path: Path) -> None:
    key = make_key(sets=6, twice=2)
    second = iter([3, 0, 3, 0, 1, 3])  # of sets 0 and 1, systems 0, 1, 2; first they had 2, 0, 3 and 2, 1, 3
    rater_file(tmp_path, key, "ann", lambda one, which, again: next(second) if again else given(one, which, again))
    own = summarise(key, read_raters(tmp_path, key)).consistency
    assert own is not None
    assert (own.pairs, own.same, own.near, own.difference) == (6, 4 / 6, 5 / 6, 3 / 6)


def test_second_scores_enter_no_mean(tmp_path: Path) -> None:
    key = make_key(sets=6, twice=6)
    rater_file(tmp_path, key, "ann", lambda one, which, again: 3 if again else 1)
    assert {own.mean for own in summarise(key, read_raters(tmp_path, key)).systems} == {1.0}


def test_intervals_need_five_groups_and_hold_the_mean(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    few, many = make_key(sets=4), make_key(sets=20)
    for key, folder in ((few, tmp_path / "few"), (many, tmp_path / "many")):
        for rater in ("ann", "bob", "cy"):
            rater_file(folder, key, rater, lambda _, which, __: int(rng.integers(0, 2) + which))
    assert {own.low for own in summarise(few, read_raters(tmp_path / "few", few)).systems} == {None}
    found = summarise(many, read_raters(tmp_path / "many", many))
    for own in found.systems:
        assert own.low is not None
        assert own.high is not None
        assert 0 <= own.low < own.mean < own.high <= 3
    gap = found.gaps[0]
    assert (gap.first, gap.second) == ("good, they say", "bad")
    assert gap.value == pytest.approx(found.systems[0].mean - found.systems[1].mean)
    assert gap.high is not None
    assert gap.high < 0  # about -1, with three raters who agree on it


def test_an_output_that_could_not_be_shown_counts_the_lowest_score(tmp_path: Path) -> None:
    key = make_key(sets=6, failed={0: {0: "silent"}, 1: {0: "missing"}})
    rater_file(tmp_path, key, "ann", lambda *_: 3)
    good, bad, _ = summarise(key, read_raters(tmp_path, key)).systems
    assert (good.mean, good.failed, good.ratings, good.items) == (2.0, 2, 4, 6)
    assert (bad.mean, bad.failed) == (3.0, 0)


def test_agreement_with_and_without_the_ground_truth(tmp_path: Path) -> None:
    key = make_key(sets=6)
    rater_file(tmp_path, key, "ann", lambda one, which, _: 3 if which == 2 else int(one.name[1:]) % 2)
    rater_file(tmp_path, key, "bob", lambda one, which, _: 3 if which == 2 else 1 - int(one.name[1:]) % 2)
    found = summarise(key, read_raters(tmp_path, key))
    assert found.alpha is not None
    assert found.alpha > 0.3
    assert found.alpha_generated == pytest.approx(1 - 1 / (12 / 23))  # 24 scores: 12 of each kind, never together
    one = read_raters(tmp_path, key, exclude=["bob"])
    assert summarise(key, one).alpha is None
    assert one.excluded == ("bob",)


# ------------------------------------------------------------------------------------------------ files
def test_unfinished_files_count_as_far_as_they_go(tmp_path: Path) -> None:
    key = make_key(sets=6)
    rater_file(tmp_path, key, "ann", lambda one, which, again: None if one.name > "s002" else given(one, which, again))
    rater_file(tmp_path, key, "bob", strict)
    raters = read_raters(tmp_path, key)
    assert raters.warnings == ("ann (ann.json): unfinished, 12 of 21 scores; they count",)
    found = summarise(key, raters)
    assert [own.ratings for own in found.systems] == [9, 9, 9]
    assert [own.finished for own in found.raters] == [False, True]
    assert found.systems[0].mean == (3 * 1.5 + 3 * 1) / 6


def test_of_two_copies_of_a_session_the_later_counts(tmp_path: Path) -> None:
    key = make_key()
    rater_file(tmp_path, key, "ann", strict, file="ann (1)", saved="2026-01-01T10:30:00Z")
    rater_file(tmp_path, key, "ann", given)
    raters = read_raters(tmp_path, key)
    assert [own.file for own in raters.kept] == ["ann.json"]
    assert raters.warnings == ("ann: ann (1).json is an earlier copy of ann.json, which counts",)


def test_one_score_for_everything_is_told_and_can_be_left_out(tmp_path: Path) -> None:
    key = make_key()
    rater_file(tmp_path, key, "ann", given)
    rater_file(tmp_path, key, "bob", lambda *_: 2)
    assert "bob (bob.json): gave 2 to everything" in read_raters(tmp_path, key).warnings[0]
    left = read_raters(tmp_path, key, exclude=["bob"])
    assert ([own.name for own in left.kept], left.warnings) == (["ann"], ())
    with pytest.raises(DocumentError, match="no rater 'bop'") as caught:
        read_raters(tmp_path, key, exclude=["bop"])
    assert caught.value.todo == "did you mean 'bob'?"


def test_sounds_that_nobody_played_are_told(tmp_path: Path) -> None:
    key = make_key().model_copy(update={"track": "made/i2a"})
    path = rater_file(tmp_path, key, "ann", given)
    document = json.loads(path.read_text())
    document["showings"][0]["plays"] = [0, 2, 0]
    path.write_text(json.dumps(document))
    assert read_raters(tmp_path, key).warnings == ("ann (ann.json): scored 2 sounds without playing them",)


def edited(document: dict[str, Any], where: str) -> None:
    showing = document["showings"][1]
    if where == "page":
        document["page"] = "0" * 64
    elif where == "score":
        showing["scores"][0], showing["scores"][1] = 4, -1
    elif where == "output":
        showing["outputs"][0] = "o9999"
    elif where == "set":
        showing["set"] = "s999"
    elif where == "again":
        showing["again"] = True
    elif where == "twice":
        document["showings"].append(showing)
    elif where == "length":
        showing["scores"].pop()
    elif where == "lost":
        document["showings"].pop()
    elif where == "half":
        showing["scores"][0] = 1.5
    else:
        document["shema"] = document.pop("schema")


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("page", "saved from the page 000000000000, but the key is of the page ffffffffffff"),
        ("score", "s001: the score 4 of o0010 is not within 0..3"),
        ("output", "s001: the page has no such set, or not with these outputs"),
        ("set", "s999: the page has no such set"),
        ("again", "s001 shown again: the page has no such set"),
        ("twice", "s001: there twice"),
        ("length", "s001: 2 scores of 3 outputs"),
        ("lost", "1 of the page's 7 screens missing"),
        ("half", "not a rater document: the document does not fit its schema; showings.1.scores.0"),
        ("schema", "not a rater document: the document's schema is None"),
    ],
)
def test_every_file_that_cannot_be_used_is_named_and_stays(tmp_path: Path, where: str, said: str) -> None:
    key = make_key()
    rater_file(tmp_path, key, "ann", given)
    path = rater_file(tmp_path, key, "bob", strict)
    document = json.loads(path.read_text())
    edited(document, where)
    path.write_text(json.dumps(document))
    (tmp_path / "cut.json").write_text(path.read_text()[:100])
    (tmp_path / "empty.json").write_text("")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(DocumentError) as caught:
        read_raters(tmp_path, key)
    assert any(problem.startswith(f"bob.json: {said}") for problem in caught.value.problems), caught.value.problems
    assert {problem.split(":")[0] for problem in caught.value.problems} == {"bob.json", "cut.json", "empty.json"}
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_two_people_of_one_name_are_not_mixed(tmp_path: Path) -> None:
    key = make_key()
    rater_file(tmp_path, key, "Ann", given)
    rater_file(tmp_path, key, "ann", strict)
    with pytest.raises(DocumentError, match=r"Ann\.json, ann\.json: 2 sessions of 'Ann'"):
        read_raters(tmp_path, key)


def test_a_rater_without_a_score_is_told(tmp_path: Path) -> None:
    key = make_key()
    rater_file(tmp_path, key, "ann", given)
    rater_file(tmp_path, key, "bob", lambda *_: None)
    raters = read_raters(tmp_path, key)
    assert [own.name for own in raters.kept] == ["ann"]
    assert raters.warnings == ("bob (bob.json): no score, not counted",)


def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    key = make_key()
    path = rater_file(tmp_path, key, "ann", given)

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given_by(mutated([path.read_bytes()]))
    def damaged(data: bytes) -> None:
        path.write_bytes(data)
        with contextlib.suppress(DocumentError):
            assert summarise(key, read_raters(tmp_path, key)).systems

    damaged()


# ------------------------------------------------------------------------------------------------ command
@pytest.fixture
def kit(tmp_path: Path) -> tuple[Path, Path]:
    """A directory with two files and the key in it."""
    key = make_key(sets=6)
    rater_file(tmp_path / "files", key, "ann", given)
    rater_file(tmp_path / "files", key, '=cmd|"<b>"', strict)
    path = tmp_path / "files" / "page.key.json"
    path.write_text(key.to_json())
    return tmp_path / "files", path


def test_the_command_writes_text_json_markdown_and_ratings(kit: tuple[Path, Path]) -> None:
    folder, key = kit
    code, text = run("--summarise", folder, "--key", key)
    assert code == 0, text
    for said in ("good, they say  1.50", "ground truth", "for these two raters", "Krippendorff's alpha", "cello"):
        assert said in text, said
    code, text = run("--summarise", folder, "--key", key, "--json")
    assert code == 0
    assert json.loads(text) == json.loads((folder / "summary" / "summary.json").read_text())
    markdown = (folder / "summary" / "summary.md").read_text()
    assert "| good, they say | 1.50 |" in markdown
    assert '| =cmd\\|"\\<b\\>" |' in markdown
    ratings, problems = read_ratings(folder / "summary" / "ratings", Scale(0, 3))
    assert problems == []
    assert len(ratings) == 2 * 6 * 2  # two raters, six items, two systems; not the ground truth, not second scores
    assert {own.system for own in ratings if own.by_digest} == {"a" * 64, "b" * 64}
    with (folder / "summary" / "ratings" / "ratings.csv").open(newline="") as handle:
        by_hand = [int(row["score"]) for row in csv.DictReader(handle) if row["system"] == "bad"]
    assert sorted(by_hand) == [0] * 9 + [1] * 3


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--summarise", "files"],
        ["x", "--summarise", "files", "--key", "files/page.key.json"],
        ["x", "--json"],
        ["x", "--exclude", "ann"],
        ["x", "--noun", ""],
        ["x"],
        ["--summarise", "nowhere", "--key", "files/page.key.json"],
        ["--summarise", ".", "--key", "files/page.key.json"],
        ["--summarise", "files", "--key", "files/ann.json"],
        ["--summarise", "files", "--key", "nothing.json"],
        ["--summarise", "files", "--key", "files/page.key.json", "--exclude", "nobody"],
    ],
)
def test_mistakes_end_in_a_message(kit: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(kit[0].parent)
    code, text = run(*words)
    assert code == 2, text
    assert "Traceback" not in text


def test_a_key_that_was_edited_is_refused(kit: tuple[Path, Path]) -> None:
    document = json.loads(kit[1].read_text())
    document["sets"][0]["outputs"]["o0000"] = 1
    kit[1].write_text(json.dumps(document))
    with pytest.raises(DocumentError, match="expected each of the 3 systems once"):
        load_json(kit[1], RatingKey)
