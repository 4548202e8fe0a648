"""How far raters agree, and how sure a mean over items and raters is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xmbench.statistics import crossed_mean, of_crossed, of_reduction, ordinal_alpha

N = np.nan
Values = NDArray[np.float64]


def names(count: int) -> list[str]:
    return [f"{number:03d}" for number in range(count)]


def alpha_by_pairs(table: Values) -> float:
    """The definition, pair by pair: no matrix of coincidences."""
    units = [[value for value in column if np.isfinite(value)] for column in table.T]
    units = [unit for unit in units if len(unit) > 1]
    pooled = sorted(value for unit in units for value in unit)

    def apart(one: float, other: float) -> float:
        low, high = min(one, other), max(one, other)
        between = sum(low <= value <= high for value in pooled)
        return float(between - (pooled.count(low) + pooled.count(high)) / 2) ** 2 if low < high else 0.0

    observed = sum(
        sum(apart(a, b) for a, b in itertools.permutations(unit, 2)) / (len(unit) - 1) for unit in units
    ) / len(pooled)
    expected = sum(apart(a, b) for a, b in itertools.permutations(pooled, 2)) / len(pooled) / (len(pooled) - 1)
    return 1 - observed / expected


def test_ordinal_alpha_is_that_of_its_author() -> None:
    """Krippendorff (2011), section D: four observers, twelve units, missing data; ordinal alpha .815."""
    table = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
            [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
        ]
    )
    assert ordinal_alpha(table) == pytest.approx(0.815, abs=5e-4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from([0, 1, 2, 3, N]), min_size=3, max_size=3), min_size=2, max_size=9))
def test_ordinal_alpha_is_its_definition(columns: list[list[float]]) -> None:
    table = np.array(columns, dtype=np.float64).T
    found = ordinal_alpha(table)
    pairable = table[:, np.isfinite(table).sum(axis=0) > 1]
    if len(np.unique(pairable[np.isfinite(pairable)])) < 2:
        assert found is None
        return
    assert found is not None
    assert found == pytest.approx(alpha_by_pairs(table))
    assert found <= 1
    # Only the order of the scores counts, and neither that of raters nor that of units.
    assert found == pytest.approx(ordinal_alpha(table**3 + 7))
    assert found == pytest.approx(ordinal_alpha(table[::-1, ::-1]))


def test_alpha_at_its_ends() -> None:
    assert ordinal_alpha(np.tile(np.arange(4.0), (3, 1))) == 1
    assert ordinal_alpha(np.array([[0.0, 1.0], [1.0, 0.0]])) == pytest.approx(-0.5)
    assert ordinal_alpha(np.ones((2, 5))) is None
    assert ordinal_alpha(np.array([[1.0, N], [N, 2.0]])) is None
    assert ordinal_alpha(np.empty((2, 0))) is None


def test_the_mean_is_over_items_and_not_over_ratings() -> None:
    assert crossed_mean(np.array([[3.0, 1.0, N], [N, 0.0, N], [N, 2.0, N]])) == 2  # of 3 and of 1
    assert np.isnan(crossed_mean(np.array([[N]])))


def test_one_rater_has_the_interval_of_his_items() -> None:
    scores = np.random.default_rng(0).integers(0, 4, 40).astype(np.float64)
    groups = [name for name in names(10) for _ in range(4)]
    own = of_reduction(lambda s, w: (w @ s[:, 0]) / w.sum(axis=1), scores[:, None], groups, low=0, high=3)
    found = of_crossed(scores[None], groups, low=0, high=3)
    assert (found.low, found.high, found.groups) == pytest.approx((own.low, own.high, 10))


def test_raters_who_differ_widen_the_interval_and_raters_who_agree_do_not() -> None:
    items = np.random.default_rng(1).integers(0, 3, 30).astype(np.float64)
    alike, apart = np.tile(items, (4, 1)), items + np.array([[-0.5], [0.0], [0.0], [0.5]])
    one, same, other = (of_crossed(table, names(30)) for table in (items[None], alike, apart))
    assert (same.low, same.high) == pytest.approx((one.low, one.high))
    assert None not in (same.low, same.high, other.low, other.high)
    assert float(other.high or 0) - float(other.low or 0) > float(same.high or 0) - float(same.low or 0) + 0.3


def test_an_interval_needs_five_groups_and_stays_on_the_scale() -> None:
    assert of_crossed(np.ones((3, 4)), names(4)).low is None
    some = np.where(np.arange(12) < 11, 3.0, 0.0)[None].repeat(3, axis=0)
    some[0, :6] = N  # unfinished
    found = of_crossed(some, names(12), low=0, high=3)
    assert found.high == 3
    assert found.low is not None
    assert 0 <= found.low < crossed_mean(some) < 3


def test_the_interval_holds_the_true_mean_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(60):
        quality, strictness = rng.normal(0, 0.5, 12), rng.normal(0, 0.2, (4, 1))
        found = of_crossed(1.5 + quality + strictness + rng.normal(0, 0.4, (4, 12)), names(12))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 1.5 <= found.high
    assert 53 <= held <= 60
