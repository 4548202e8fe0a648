"""Ranks: 1 + the number of better systems, where better is more than chance over all pairs of a board."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmbench.leaderboard.ranking import Column, Placed, System, ranked
from xmbench.statistics import of_mean

IDS = tuple(f"i-{i:03d}" for i in range(360))


def system(name: str, runs: list[np.ndarray], groups: tuple[str, ...] = IDS) -> System:
    member = np.unique(groups, return_inverse=True)[1]
    found = of_mean(runs, member)
    columns = tuple(Column(IDS, groups, run) for run in runs)
    return System(name, float(np.mean(runs)), found.low, found.high, columns)


def equal(count: int, seed: int, groups: int = 360) -> list[System]:
    rng = np.random.default_rng(seed)
    names = tuple(f"g{i % groups}" for i in range(len(IDS)))
    shared = rng.normal(size=len(IDS))
    shifts = rng.normal(0, 0.3, (count, groups))
    return [
        system(str(k), [shared + rng.normal(size=len(IDS)) + shifts[k][np.arange(len(IDS)) % groups]], names)
        for k in range(count)
    ]


def ranks(placed: list[Placed]) -> list[int]:
    return [row.rank for row in placed]


def place(systems: list[System], smallest: float = 0.0, identity: float | None = None) -> list[Placed]:
    return ranked(systems, higher_is_better=True, smallest_difference=smallest, identity=identity)


@pytest.mark.parametrize("groups", [360, 10])
def test_ten_equal_systems_share_the_first_rank_on_nearly_every_board(groups: int) -> None:
    """By separate 95 % intervals of each pair, every second board of ten equal systems had more than one rank."""
    several = sum(max(ranks(place(equal(10, seed, groups)))) > 1 for seed in range(60))
    assert several <= 8  # at 5 % of 60 boards, 9 or more happen once in 250 times


def test_clear_differences_give_clear_ranks_in_the_order_of_the_input() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(size=len(IDS))
    made = [
        system(name, [shared + level + rng.normal(0, 0.1, len(IDS))])
        for name, level in zip("acb", (0, 2, 1), strict=True)
    ]
    placed = place(made)
    assert ranks(placed) == [3, 1, 2]
    assert placed[0].worse_than == ("c", "b")
    assert {row.by for row in placed} == {"paired"}
    assert ranks(ranked(made, higher_is_better=False, smallest_difference=0.0)) == [1, 3, 2]


def test_a_difference_below_the_smallest_decides_nothing() -> None:
    made = [system("a", [np.zeros(360)]), system("b", [np.full(360, 0.004)])]
    assert ranks(place(made)) == [2, 1]
    assert ranks(place(made, smallest=0.005)) == [1, 1]


def test_fewer_than_five_groups_decide_nothing() -> None:
    groups = tuple(f"g{i % 4}" for i in range(len(IDS)))
    rng = np.random.default_rng(0)
    made = [system(name, [level + rng.normal(size=len(IDS))], groups) for name, level in (("a", 0), ("b", 9))]
    assert [(row.rank, row.by) for row in place(made)] == [(1, "not estimable")] * 2


def test_systems_above_the_real_items_tie_with_each_other_only() -> None:
    """Where the judge recognises a system better than the real items, it is the judge that is measured."""
    rng = np.random.default_rng(0)
    levels = {"a": 0.99, "b": 0.90, "c": 0.70}
    made = [system(name, [(rng.random(len(IDS)) < level).astype(float)]) for name, level in levels.items()]
    assert ranks(place(made)) == [1, 2, 3]
    placed = place(made, identity=0.85)
    assert ranks(placed) == [1, 1, 3]
    assert [row.beyond_judge for row in placed] == [True, True, False]


def test_a_seed_is_not_better_than_other_seeds_of_itself() -> None:
    """Single runs of one system that vary with the seed are separated; with three seeds each, the systems are not."""
    separated = {1: 0, 3: 0}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shared = rng.normal(size=len(IDS))
        runs = [shared + 0.1 * rng.normal() + rng.normal(0, 0.5, len(IDS)) for _ in range(6)]
        for count in separated:
            made = [system("a", runs[:count]), system("b", runs[3 : 3 + count])]
            separated[count] += max(ranks(place(made))) > 1
    assert separated[1] >= 12
    assert separated[3] <= 5


def test_without_the_items_values_two_intervals_decide() -> None:
    made = [System("a", 0.2, 0.1, 0.3), System("b", 0.5, 0.4, 0.6), System("c", 0.3, 0.2, 0.4)]
    placed = ranked(made, higher_is_better=False, smallest_difference=0.0)
    assert ranks(placed) == [1, 3, 1]
    assert {row.by for row in placed} == {"intervals"}
    few = [System(s.name, s.value, s.low, s.high, degrees=2.0) for s in made]
    assert ranks(ranked(few, higher_is_better=False, smallest_difference=0.0)) == [1, 2, 1]


def test_a_board_may_mix_known_and_unknown_items() -> None:
    made = [*equal(2, 1), System("old", 9.0, 8.9, 9.1), System("without an interval", 99.0, None, None)]
    placed = place(made)
    assert ranks(placed) == [2, 2, 1, 1]
    assert [row.by for row in placed] == ["intervals", "intervals", "intervals", "not estimable"]


def test_columns_of_other_items_are_not_paired() -> None:
    a, b = equal(2, 0)
    other = tuple(f"other-{i}" for i in range(len(IDS)))
    moved = System("b", b.value, b.low, b.high, (Column(other, other, b.columns[0].values),))
    assert {row.by for row in place([a, moved])} == {"intervals"}


def test_an_empty_board_and_a_board_of_one() -> None:
    assert place([]) == []
    assert place([System("a", 1.0, None, None)]) == [Placed(1, "")]


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 50))
def test_ranks_do_not_depend_on_the_order_of_the_systems(order: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = [system(str(k), [0.1 * k + rng.normal(size=len(IDS))]) for k in range(6)]
    straight = place(made)
    for k, row in zip(order, place([made[k] for k in order]), strict=True):
        assert (row.rank, row.by, set(row.worse_than)) == (
            straight[k].rank,
            straight[k].by,
            set(straight[k].worse_than),
        )
