"""Which items are rated: seeded, even over the classes, and few of one take."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from xmbench.evaluator.rating_sample import drawn_twice, sample

ITEMS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(ITEMS, st.integers(1, 6), st.integers(1, 3), st.integers(0, 3))
def test_each_class_has_as_many_as_its_takes_allow(
    items: list[tuple[int, int]], per_class: int, per_group: int, seed: int
) -> None:
    ids = [f"item-{place:03d}" for place in range(len(items))]
    labels, groups = [label for label, _ in items], [f"take-{label}-{take}" for label, take in items]
    chosen = sample(ids, labels, groups, per_class=per_class, per_group=per_group, seed=seed)
    assert chosen == sorted(set(chosen))
    assert chosen == sample(ids[::-1], labels[::-1], groups[::-1], per_class=per_class, per_group=per_group, seed=seed)
    label_of, group_of = dict(zip(ids, labels, strict=True)), dict(zip(ids, groups, strict=True))
    taken, there = Counter(group_of[item] for item in chosen), Counter(groups)
    for label in set(labels):
        own = {group: count for group, count in there.items() if group.startswith(f"take-{label}-")}
        possible = sum(min(per_group, count) for count in own.values())
        assert sum(label_of[item] == label for item in chosen) == min(per_class, possible)
        # No take gives two before every other one has given what it can.
        turns = max(taken[group] for group in own)
        assert all(taken[group] >= min(turns - 1, count) for group, count in own.items())
    assert max(taken.values()) <= per_group


def test_items_of_one_take_are_far_apart() -> None:
    ids = [f"window-{place:03d}" for place in range(100)]
    for seed in range(20):
        chosen = sample(ids, [0] * 100, ["take"] * 100, per_class=4, per_group=4, seed=seed)
        places = [int(item[-3:]) for item in chosen]
        assert all(24 <= b - a <= 26 for a, b in itertools.pairwise(places))


def test_one_in_ten_comes_twice_unless_told_otherwise() -> None:
    assert [len(drawn_twice(count, None, 1)) for count in (1, 10, 11, 130)] == [1, 1, 2, 13]
    assert drawn_twice(5, 0, 1) == set()
    assert drawn_twice(5, 9, 1) == set(range(5))
