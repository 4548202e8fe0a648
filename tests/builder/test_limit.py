"""A limit for some splits: a model is trained on everything, and a stratified part is scored."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.builder.conftest import Corpus
from tests.made_boards import Made
from xmbench.builder import split
from xmbench.builder.build import build
from xmbench.builder.estimate import estimate
from xmbench.builder.retry import retry
from xmbench.cli.program import app
from xmbench.errors import DatasetError, DocumentError
from xmbench.formats.dataset import Manifest, open_dataset
from xmbench.formats.limit import SplitLimits, limit_order, limit_phrase, parse_limit
from xmbench.formats.result import Result
from xmbench.inspection.validate import validate
from xmbench.interfaces import Entry
from xmbench.leaderboard.board import boards
from xmbench.leaderboard.markdown import heading
from xmbench.leaderboard.places import place


def test_what_can_be_typed() -> None:
    assert parse_limit("2000") == 2000
    assert parse_limit("test=2000") == SplitLimits(test=2000)
    assert parse_limit("train=5000, test=2000") == parse_limit("test=2000,train=5000")
    assert limit_phrase(2000) == "limited to 2,000 items per split"
    assert limit_phrase(SplitLimits(train=5000, test=20)) == "limited to 5,000 items of train and 20 items of test"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("tset=20", "no split is called 'tset' (did you mean 'test'?)"),
        ("test=0", "the limit is 0"),
        ("-3", "the limit is -3"),
        ("0", "the limit is 0"),
        ("test=many", "'many' is not a number of items"),
        ("1e3", "'1e3' is not a number of items"),
        ("", "'' is not a number of items"),
        ("test=", "'' is not a number of items"),
        ("test=5,7", "'7' names no split"),
        ("test=5,test=6", "the split 'test' is named twice"),
        ("9" * 5000, "is not a number of items"),
    ],
)
def test_mistakes_are_explained_before_any_work(typed: str, said: str, tmp_path: Path) -> None:
    for command in (["build", "digits-ad", "--out", str(tmp_path / "d")], ["plan", "digits-ad"]):
        run = CliRunner().invoke(app, [*command, f"--limit={typed}"])
        assert run.exit_code == 2
        assert said in run.stderr
    assert not (tmp_path / "d").exists()


def test_a_limit_of_one_split_leaves_the_other_complete(corpus: Corpus, tmp_path: Path) -> None:
    whole = build(corpus.many, tmp_path / "whole", source=corpus.folder)
    part = build(corpus.many, tmp_path / "part", source=corpus.folder, limit=SplitLimits(test=9))
    assert {name: part.count(name) for name in ("train", "test")} == {"train": 120, "test": 9}
    columns = ["image", "audio", "label", "take"]
    assert list(part.rows("train", columns)) == list(whole.rows("train", columns))
    known = {row["id"]: row for row in whole.rows("test", columns)}
    assert all(row == known[row["id"]] for row in part.rows("test", columns))
    assert Counter(row["label"] for row in part.rows("test", ["label"])) == {0: 3, 1: 3, 2: 3}
    assert part.digest != whole.digest
    again = build(corpus.many, tmp_path / "again", source=corpus.folder, limit=SplitLimits(test=9))
    assert again.digest == part.digest
    assert validate(part).problems == []
    manifest = open_dataset(part.folder).manifest
    assert manifest.limit == SplitLimits(test=9)
    assert manifest.to_json() == Manifest.model_validate_json(manifest.to_json()).to_json()
    card = (part.folder / "README.md").read_text()
    assert "built with `--limit test=9` (items of each named split, stratified by class and speaker" in card
    assert f"xmbench build {corpus.many.name} --limit test=9 --seed" in card


def test_another_limit_is_another_build(corpus: Corpus, tmp_path: Path) -> None:
    build(corpus.single, tmp_path / "part", source=corpus.folder, limit=SplitLimits(test=9))
    with pytest.raises(DatasetError) as caught:
        build(corpus.single, tmp_path / "part", source=corpus.folder, limit=9)
    assert "limit: test=9 there, 9 now" in str(caught.value)


def test_more_than_there_is_is_refused_by_name_only(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        build(corpus.single, tmp_path / "part", source=corpus.folder, limit=SplitLimits(train=50, test=31))
    assert "test: 31 wanted, 30 there" in str(caught.value)
    with pytest.raises(DocumentError, match="more than there is"):
        estimate(corpus.single, source=corpus.folder, limit=SplitLimits(test=31))
    assert estimate(corpus.single, source=corpus.folder, limit=SplitLimits(test=12)).rows == {"train": 120, "test": 12}
    assert build(corpus.single, tmp_path / "all", source=corpus.folder, limit=31).count("test") == 30


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), min_size=1, max_size=150),
    st.integers(1, 160),
    st.integers(0, 2**31),
)
def test_each_class_and_each_speaker_of_it_has_its_share(of: list[tuple[int, str]], limit: int, seed: int) -> None:
    entries = [
        Entry(key=f"i-{i:03d}", split="test", label=k, group=f"i-{i:03d}", attributes={"speaker": who})
        for i, (k, who) in enumerate(of)
    ]
    kept = split.limited(entries, limit, seed, "test", lambda _, entry: str(entry.attributes["speaker"]))
    assert len(kept) == min(limit, len(of))
    share = len(kept) / len(of)
    classes, found = Counter(k for k, _ in of), Counter(entry.label for entry in kept)
    assert all(abs(found[k] - share * number) <= 2 for k, number in classes.items())
    pairs, spoken = Counter(of), Counter((entry.label, str(entry.attributes["speaker"])) for entry in kept)
    assert all(abs(spoken[k, who] - found[k] * n / classes[k]) <= 2 for (k, who), n in pairs.items())


def test_the_smallest_scored_part_sorts_first() -> None:
    limits = [None, SplitLimits(train=5), 2000, SplitLimits(test=100)]
    assert sorted(limits, key=limit_order) == [SplitLimits(test=100), 2000, None, SplitLimits(train=5)]


def test_a_result_and_its_board_say_which_splits_were_limited(tmp_path: Path) -> None:
    made = Made(tuple(f"g-{i}" for i in range(40)))
    made.add("a system", np.ones(40))
    result = made.results[0].model_copy(update={"limit": SplitLimits(test=2000)})
    again = Result.model_validate_json(result.to_json())
    assert again.limit == SplitLimits(test=2000)
    assert again.digest == result.digest != made.results[0].digest
    assert place(tmp_path, again).name == "a-system--limit-test-2000.json"
    assert "limited to 2000 items of test" in heading(boards([again])[0])


def test_a_retry_keeps_the_limit(corpus: Corpus, tmp_path: Path) -> None:
    built = build(corpus.many, tmp_path / "part", source=corpus.folder, limit=SplitLimits(train=30, test=9))
    assert retry(built.folder, source=corpus.folder).dataset.digest == built.digest
