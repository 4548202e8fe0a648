"""Splits, limits and pairings as properties."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmbench.builder import pair, split
from xmbench.errors import DocumentError
from xmbench.formats.recipe import SplitSpec
from xmbench.interfaces import Entry

labels = st.lists(st.integers(0, 4), min_size=1, max_size=120)
seeds = st.integers(0, 2**31)


def entries(of: list[int], published: str = "any") -> list[Entry]:
    return [Entry(key=f"i-{i:03d}", split=published, label=k, group=f"i-{i:03d}") for i, k in enumerate(of)]


@given(labels, st.floats(0.05, 0.95), seeds)
def test_stratified_splits_share_every_class_evenly(of: list[int], fraction: float, seed: int) -> None:
    found = entries(of)
    splits = split.assign(found, SplitSpec(method="stratified", test_fraction=fraction), seed)
    assert sorted(e.key for part in splits.values() for e in part) == [e.key for e in found]
    assert len(splits["test"]) == math.ceil(fraction * len(of))
    everywhere, tested = Counter(of), Counter(e.label for e in splits["test"])
    share = len(splits["test"]) / len(of)
    assert all(abs(tested[k] - share * n) <= 2 for k, n in everywhere.items())


@given(labels, seeds)
def test_a_group_never_crosses_splits(of: list[int], seed: int) -> None:
    found = [Entry(key=f"i-{i}", split="any", label=k, group=f"g-{i // 3}") for i, k in enumerate(of)]
    splits = split.assign(found, SplitSpec(method="stratified"), seed)
    assert not {e.group for e in splits["train"]} & {e.group for e in splits["test"]}


@given(labels, st.integers(1, 130), st.integers(1, 130), seeds)
def test_a_limit_is_stratified_and_nested(of: list[int], one: int, other: int, seed: int) -> None:
    small, large = sorted((one, other))
    found = entries(of)
    less, more = (split.limited(found, n, seed, "train") for n in (small, large))
    assert len(less) == min(small, len(of))
    assert {e.key for e in less} <= {e.key for e in more}
    counted, share = Counter(e.label for e in less), len(less) / len(of)
    assert all(abs(counted[k] - share * n) <= 2 for k, n in Counter(of).items())


@given(labels, seeds)
def test_the_order_of_the_items_does_not_matter(of: list[int], seed: int) -> None:
    found = entries(of)
    kept = {e.key for e in split.limited(found, 10, seed, "test")}
    assert {e.key for e in split.limited(found[::-1], 10, seed, "test")} == kept


def test_published_splits_follow_the_source() -> None:
    found = [*entries([0, 1], "train"), Entry(key="t", split="test", label=0, group="t")]
    assert {name: len(part) for name, part in split.assign(found, SplitSpec(), 0).items()} == {"train": 2, "test": 1}
    with pytest.raises(DocumentError, match="publishes no split"):
        split.assign(entries([0]), SplitSpec(), 0)


def test_the_digits_split_has_the_promised_sizes() -> None:
    splits = split.assign(entries([i % 10 for i in range(1797)]), SplitSpec(method="stratified"), 0)
    assert {name: len(part) for name, part in splits.items()} == {"train": 1437, "test": 360}


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60), seeds)
def test_an_item_gets_a_take_of_its_class_and_split(of: list[int], seed: int) -> None:
    takes = [(f"{name}-{k}-{i}", name, k) for name in ("train", "test") for k in range(3) for i in range(4)]
    pools = pair.pools([*takes, ("both-0", "any", 0)])
    for i, label in enumerate(of):
        key = pair.choose(f"item-{i}", "test", label, pools, seed)
        assert key is not None
        assert key.startswith(f"test-{label}") or (key == "both-0" and label == 0)
        assert (
            pair.choose(f"item-{i}", "test", label, pair.pools(reversed([*takes, ("both-0", "any", 0)])), seed) == key
        )
    assert pair.choose("x", "train", 7, pools, seed) is None


def test_takes_are_used_evenly() -> None:
    pools = pair.pools([(f"take-{i}", "any", 0) for i in range(5)])
    used = Counter(pair.choose(f"item-{i}", "train", 0, pools, 1) for i in range(5000))
    assert len(used) == 5
    assert min(used.values()) > 850


def test_seeds_change_the_choice() -> None:
    pools = pair.pools([(f"take-{i}", "any", 0) for i in range(5)])
    one, other = ([pair.choose(f"item-{i}", "train", 0, pools, seed) for i in range(40)] for seed in (0, 1))
    assert one != other
