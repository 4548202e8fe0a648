"""A recipe that gets a metric or a judge asks for a new score: no set is rebuilt, no submission is made again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.making import submit
from tests.recipes import toml_of
from xmbench import content, leaderboard
from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.errors import DocumentError
from xmbench.evaluator.check import check
from xmbench.evaluator.compare import compare
from xmbench.evaluator.judge import load_judges
from xmbench.evaluator.save import score_and_save
from xmbench.evaluator.verify import verify
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.document import load_json
from xmbench.formats.recipe import Recipe
from xmbench.formats.result import Result

Install = Callable[[Recipe], Recipe]
QUICK = ("corr2d-floored", "word-accuracy")  # of eleven: what these tests need of a track


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a recipe where the installed ones are, before the one of the same name."""
    folder, real = tmp_path / "installed", content._folders
    monkeypatch.setattr(content, "_folders", lambda kind: [folder / kind, *real(kind)])

    def put(recipe: Recipe) -> Recipe:
        (folder / "recipes").mkdir(parents=True, exist_ok=True)
        (folder / "recipes" / f"{recipe.name}.toml").write_text(toml_of(recipe))
        assert load_recipe(recipe.name) == recipe
        return recipe

    return put


def tracked(recipe: Recipe, **changes: Any) -> Recipe:
    """A recipe whose first track is another."""
    first = recipe.tracks[0].model_copy(update=changes)
    return Recipe.model_validate(
        recipe.model_copy(update={"tracks": (first, *recipe.tracks[1:])}).model_dump(by_alias=True)
    )


def scored(submission: Path, dataset: Dataset, out: Path) -> Result:
    score_and_save(submission, dataset, out)
    return load_json(out, Result)


@pytest.fixture
def mine(digits: Dataset, tmp_path: Path) -> Path:
    """A copy of the data set, which a test may change."""
    return Path(shutil.copytree(digits.folder, tmp_path / "data" / "digits-ad"))


def test_a_metric_that_a_recipe_gets_is_scored_without_a_rebuild(mine: Path, tmp_path: Path, install: Install) -> None:
    small = install(tracked(load_recipe("digits-ad"), metrics=QUICK))
    dataset = open_dataset(mine)
    shards = {path.name: path.stat().st_mtime_ns for path in (mine / "data").iterdir()}
    sent = submit(dataset, tmp_path / "s")
    old = scored(sent, dataset, tmp_path / "old.json")
    assert tuple(old.scores) == old.track_spec.metrics == QUICK
    leaderboard.add(tmp_path / "boards", tmp_path / "old.json")

    more = install(tracked(small, metrics=(*QUICK, "corr2d-mean5")))
    assert more.data_digest == small.data_digest != more.digest
    assert check(sent, dataset).problems == ()
    new = scored(sent, dataset, tmp_path / "new.json")
    assert new.scores["corr2d-mean5"].value is not None
    assert {name: new.scores[name] for name in QUICK} == old.scores
    assert new.track_digest != old.track_digest
    assert (new.data_digest, new.dataset_digest) == (old.data_digest, old.dataset_digest)

    held = verify(tmp_path / "old.json", sent, dataset)
    assert held.differences == ()
    assert any("the track has since got corr2d-mean5" in note for note in held.notes)
    assert any(old.track_digest[:12] in note for note in held.notes)
    assert "only B has it" in compare(tmp_path / "old.json", tmp_path / "new.json").unpaired["corr2d-mean5"]

    (board,) = leaderboard.boards([*leaderboard.load(tmp_path / "boards").results, renamed(new)])
    assert (len(board.rows), board.current) == (2, True)
    with pytest.raises(DocumentError, match="no score of corr2d-mean5, which the recipe now has"):
        leaderboard.add(tmp_path / "boards", tmp_path / "old.json")

    lines: list[str] = []
    again = build(more, mine, limit=40, progress=lines.append)
    assert lines[0].endswith("already built")
    assert (again.recipe, again.digest) == (more, dataset.digest)
    assert {path.name: path.stat().st_mtime_ns for path in (mine / "data").iterdir()} == shards
    assert not (mine / ".build").exists()


def renamed(result: Result) -> Result:
    named = result.submission.model_copy(update={"system": "another"})
    return result.model_copy(update={"submission": named})


def test_a_judge_that_a_recipe_gets_is_asked_without_a_rebuild(mine: Path, tmp_path: Path, install: Install) -> None:
    whole = load_recipe("digits-ad")
    one = install(tracked(whole, metrics=QUICK, second_judge=None))
    sent = submit(open_dataset(mine), tmp_path / "s")
    old = scored(sent, open_dataset(mine), tmp_path / "old.json")
    assert (old.judge is None, old.second_judge) == (False, None)

    two = install(tracked(whole, metrics=(*QUICK, "word-accuracy-second")))
    new = scored(sent, open_dataset(mine), tmp_path / "new.json")
    assert one.data_digest == two.data_digest
    assert new.second_judge is not None
    assert two.tracks[0].second_judge is not None
    assert new.second_judge.sha256 == two.tracks[0].second_judge.sha256
    assert new.scores["word-accuracy-second"].value is not None
    assert new.track_digest != old.track_digest
    held = verify(tmp_path / "old.json", sent, open_dataset(mine))
    assert held.differences == ()
    assert any("word-accuracy-second, the judge digits-second" in note for note in held.notes)


def test_the_track_is_the_installed_one_only_where_that_recipe_builds_the_same_data(
    mine: Path, install: Install
) -> None:
    recipe = load_recipe("digits-ad")
    own = open_dataset(mine).recipe.tracks
    other = recipe.model_copy(update={"pairing": recipe.pairing.model_copy(update={"seed": 7})})
    install(tracked(other, metrics=QUICK))
    assert open_dataset(mine).tracks == own
    install(tracked(recipe, metrics=QUICK))
    assert open_dataset(mine).tracks[0].metrics == QUICK
    text = (mine / "manifest.json").read_text().replace('"name": "digits-ad"', '"name": "somebodys-own"')
    (mine / "manifest.json").write_text(text)
    assert open_dataset(mine).tracks == own


def test_a_track_of_another_direction_that_a_recipe_gets_can_be_scored(mine: Path, install: Install) -> None:
    recipe = load_recipe("digits-ad")
    build(recipe.model_copy(update={"tracks": recipe.tracks[:1]}), mine, limit=40)
    assert [track.direction for track in open_dataset(mine).recipe.tracks] == ["i2a"]
    assert open_dataset(mine).track("a2i") == recipe.track("a2i")


def test_a_forged_track_does_not_verify(mine: Path, tmp_path: Path, install: Install) -> None:
    install(tracked(load_recipe("digits-ad"), metrics=("corr2d-floored", "stoi")))
    dataset = open_dataset(mine)
    sent = submit(dataset, tmp_path / "s")
    old = scored(sent, dataset, tmp_path / "r.json")
    track = old.track_spec.model_copy(update={"primary": "stoi"})
    forged = old.model_copy(update={"primary": "stoi", "track_spec": track})
    (tmp_path / "r.json").write_text(forged.to_json())
    found = {difference.field for difference in verify(tmp_path / "r.json", sent, dataset).differences}
    assert found == {"primary", "track_spec.primary"}


def test_the_judges_of_a_track_are_todays(mine: Path, install: Install) -> None:
    recipe = install(tracked(load_recipe("digits-ad"), metrics=("corr2d-floored",), judge=None, second_judge=None))
    track = open_dataset(mine).track("i2a")
    assert track == recipe.tracks[0]
    assert track is not None
    assert load_judges(open_dataset(mine), track) == (None, None)
