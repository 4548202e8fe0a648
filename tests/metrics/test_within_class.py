"""within-class-retrieval: against plain loops, by hand, and what an output gets that carries no more than its class."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xmbench.interfaces import ByOrigin, Origins, WholeSet
from xmbench.metrics.within_class_retrieval import METRIC

Points = NDArray[np.float64]
LENGTH_S = 0.5


def states(outputs: Points, references: Points, labels: Any) -> Points:
    return np.concatenate([outputs, references, np.asarray(labels, dtype=float)[:, None]], axis=1)


def windows(sizes: list[list[int]], stride_s: float = 0.1) -> tuple[NDArray[np.int64], Origins]:
    """Labels and origins of items: one list per class, in it the number of windows of each take."""
    labels = [label for label, takes in enumerate(sizes) for count in takes for _ in range(count)]
    groups = [f"{label}-{take}" for label, takes in enumerate(sizes) for take, n in enumerate(takes) for _ in range(n)]
    starts = [0.3 + stride_s * k for takes in sizes for count in takes for k in range(count)]
    return np.array(labels), Origins(tuple(groups), np.array(starts), LENGTH_S)


def score(rows: Points, origins: Origins, usable: Any = None) -> tuple[float, NDArray[np.bool_], Points]:
    given = np.ones(len(rows), dtype=bool) if usable is None else np.asarray(usable)
    table, covered = METRIC.finish_by_origin(rows, given, origins)
    value = METRIC.reduce(table[covered], np.ones((1, int(covered.sum()))))
    return float(value[0]), covered, table


def in_plain_words(outputs: Points, references: Points, labels: Any, origins: Origins) -> float:
    """The definition once more: takes of a class against each other, else windows that do not overlap."""
    of_takes = []
    for take in sorted(set(origins.groups)):
        own = [i for i, name in enumerate(origins.groups) if name == take]
        others = sorted({n for n, k in zip(origins.groups, labels, strict=True) if k == labels[own[0]]} - {take})
        wins = total = 0.0
        for i in own:
            asked = [[j for j, name in enumerate(origins.groups) if name == other] for other in others]
            if not others:
                asked = [[j for j in own if abs(origins.starts_s[i] - origins.starts_s[j]) > LENGTH_S - 1e-6]]
            mine = math.dist(outputs[i], references[i])
            for group in asked:
                theirs = [math.dist(outputs[i], references[j]) for j in group]
                won = sum(1.0 if d > mine + 1e-9 else 0.5 if d > mine - 1e-9 else 0.0 for d in theirs)
                wins += won / len(group) if others else won
                total += 1.0 if others else len(group)
        if total:
            of_takes.append(wins / total)
    return float(np.mean(of_takes))


SIZES = [[3, 5, 2], [12], [4, 4], [1], [7, 1], [2]]  # takes of each class, and their windows


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_loops_over_takes_and_windows_give(seed: int) -> None:
    labels, origins = windows(SIZES)
    rng = np.random.default_rng(seed)
    references = rng.normal(size=(len(labels), 8)).round(1)
    outputs = references + rng.normal(size=references.shape) * seed
    found, covered, _ = score(states(outputs, references, labels), origins)
    assert found == pytest.approx(in_plain_words(outputs, references, labels, origins), abs=1e-12)
    np.testing.assert_array_equal(covered, ~np.isin(labels, [3, 5]))  # one window, and two that overlap


def test_the_references_themselves_score_one_and_their_mirror_image_below_one_half() -> None:
    labels, origins = windows(SIZES)
    references = np.random.default_rng(1).normal(size=(len(labels), 8))
    assert score(states(references, references, labels), origins)[0] == 1.0
    assert score(states(-references, references, labels), origins)[0] < 0.3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 14), min_size=1, max_size=4), min_size=1, max_size=4),
    st.integers(0, 10_000),
    st.booleans(),
)
def test_one_output_per_class_scores_exactly_one_half(sizes: list[list[int]], seed: int, stored: bool) -> None:
    """Whatever it is: a mean, a stored reference, or the one that the largest take is nearest to."""
    labels, origins = windows(sizes)
    rng = np.random.default_rng(seed)
    references = rng.normal(size=(len(labels), 3)).round(int(rng.integers(0, 3)))  # with equal references, too
    chosen = [references[labels == k][0] if stored else rng.normal(size=3) for k in range(len(sizes))]
    found, covered, _ = score(states(np.stack(chosen)[labels], references, labels), origins)
    assert found == pytest.approx(0.5, abs=1e-9) or not covered.any()


def test_the_largest_take_does_not_decide() -> None:
    """One output beside the large take wins all its items; every item of the small take loses for it."""
    labels, origins = windows([[90, 10]])
    references = np.where(np.arange(100) < 90, 0.0, 5.0)[:, None]
    found, _, table = score(states(np.zeros((100, 1)), references, labels), origins)
    assert table[:, 0].mean() == pytest.approx(0.9)
    assert found == pytest.approx(0.5)


def test_windows_of_one_take_are_compared_only_where_they_share_no_sound() -> None:
    """Eight windows, 0.1 s apart: the outputs are the references of the window before, so that overlap would count."""
    labels, origins = windows([[8]])
    references = np.arange(8.0)[:, None]
    outputs = np.maximum(references - 1, 0)
    found, covered, table = score(states(outputs, references, labels), origins)
    np.testing.assert_array_equal(covered, [True, True, True, False, False, True, True, True])
    np.testing.assert_allclose(table[:, 1], np.array([3, 2, 1, 0, 0, 1, 2, 3]) / 12)
    np.testing.assert_array_equal(table[covered, 0], 1.0)
    assert found == 1.0
    same_start = Origins(origins.groups, np.full(8, np.nan), LENGTH_S)
    assert not score(states(outputs, references, labels), same_start)[1].any()  # starts that are not known


def test_a_failed_item_counts_zero_and_leaves_the_others_as_they_are() -> None:
    labels, origins = windows(SIZES)
    references = np.random.default_rng(2).normal(size=(len(labels), 4))
    rows = states(references, references, labels)
    usable = np.arange(len(labels)) % 5 > 0
    found, covered, table = score(rows, origins, usable)
    np.testing.assert_array_equal(table[covered, 0], usable[covered].astype(float))
    np.testing.assert_array_equal(covered, score(rows, origins)[1])
    assert found < 1.0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 3.0), st.lists(st.booleans(), min_size=48, max_size=48))
def test_leaving_items_out_never_helps_and_bounds_hold(seed: int, noise: float, usable: list[bool]) -> None:
    labels, origins = windows(SIZES)
    rng = np.random.default_rng(seed)
    references = rng.normal(size=(len(labels), 4))
    rows = states(references + noise * rng.normal(size=references.shape), references, labels)
    made = np.array(usable)[: len(labels)]
    assert 0.0 <= score(rows, origins, made)[0] <= score(rows, origins)[0] + 1e-12 <= 1.0 + 1e-12


def test_a_caller_that_knows_no_origins_compares_all_items_of_a_class() -> None:
    assert isinstance(METRIC, WholeSet)
    assert isinstance(METRIC, ByOrigin)
    labels = np.array([0, 0, 0, 1])
    references = np.array([[0.0], [1.0], [3.0], [9.0]])
    table = METRIC.finish(states(references + 1.1, references, labels), np.ones(4, dtype=bool))
    np.testing.assert_array_equal(table, [[0.5, 1], [0.5, 1], [1, 1], [0, 0]])  # 2.1: own 1.1, others 2.1 and 0.9
    assert METRIC.reduce(table, np.ones((1, 4)))[0] == pytest.approx(2 / 3)
    assert METRIC.reduce(table[3:], np.ones((1, 1)))[0] == 0.0  # nothing to compare with
