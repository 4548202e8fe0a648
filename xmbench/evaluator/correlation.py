"""How a metric goes with what people say: coefficients, their intervals, and how far raters agree.

Pearson's r, Spearman's rho and Kendall's tau-b. Over items: a percentile bootstrap (Efron 1979) that draws items
and raters, so that neither a lucky choice of items nor one of raters makes an interval narrow. Over systems, of which
there are few: a permutation test, and nothing below five of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FEWEST = 5  # systems, or items: with fewer nothing is estimated
RESAMPLES = 500
PERMUTATIONS = 9_999
SEED = 20261121
_ALL_PERMUTATIONS = 7  # systems: up to so many, every order is tried
_EQUAL = 1e-12
Values = NDArray[np.float64]
Name = Literal["pearson", "spearman", "kendall"]


def pearson(x: Values, y: Values) -> float:
    """Pearson's r of (N,) and (N,), -1..1; NaN where one of them is constant.

    >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])), 6)
    0.981981
    """
    if not _vary(x, y):
        return math.nan
    left, right = x - x.mean(), y - y.mean()
    # Scaled first, so that squares of tiny values are not zero.
    left, right = left / np.abs(left).max(), right / np.abs(right).max()
    return float(np.clip(left @ right / math.sqrt((left @ left) * (right @ right)), -1.0, 1.0))


def spearman(x: Values, y: Values) -> float:
    """Spearman's rho, the correlation of ranks, -1..1; NaN where one of them is constant.

    >>> spearman(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0]))
    0.8
    """
    return pearson(stats.rankdata(x), stats.rankdata(y)) if _vary(x, y) else math.nan


def kendall(x: Values, y: Values) -> float:
    """Kendall's tau-b, which counts pairs in the same order and corrects for ties, -1..1; NaN where one is constant.

    >>> round(kendall(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0])), 6)
    0.666667
    """
    return float(stats.kendalltau(x, y, method="asymptotic").statistic) if _vary(x, y) else math.nan


COEFFICIENTS: dict[Name, Callable[[Values, Values], float]] = {
    "pearson": pearson,
    "spearman": spearman,
    "kendall": kendall,
}


def _vary(x: Values, y: Values) -> bool:
    return len(x) > 1 and bool(np.ptp(x) > 0 and np.ptp(y) > 0)


@dataclass(frozen=True, slots=True)
class Correlation:
    """One coefficient.

    Attributes:
        value: -1..1; None where it cannot be estimated.
        low, high: 95 % interval; None by system.
        p_value: of no relation, two-sided; None by item.
        n: systems, or pairs of a system and an item.
        method: how the interval or the p-value was made, or why there is none.
    """

    value: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int
    method: str


def over_systems(metric: Values, rated: Values) -> dict[Name, Correlation]:
    """Coefficients over systems: a metric's scores (S,) against mean ratings (S,).

    The p-value is the share of the orders of the systems that give at least as large a coefficient: of every order up
    to seven systems, else of 9,999 seeded ones.
    """
    n = len(metric)
    if n < FEWEST:
        return _none(n, f"not estimable: {n} systems, {FEWEST} needed")
    if not _vary(metric, rated):
        return _none(n, "not estimable: every system has the same value")
    orders, how = _orders(n)
    found: dict[Name, Correlation] = {}
    for name, compute in COEFFICIENTS.items():
        value = compute(metric, rated)
        drawn = _permuted(name, metric, rated, orders)
        beyond = int((drawn >= abs(value) - _EQUAL).sum())
        p_value = beyond / len(orders) if n <= _ALL_PERMUTATIONS else (beyond + 1) / (len(orders) + 1)
        found[name] = Correlation(value, None, None, p_value, n, how)
    return found


def _permuted(name: Name, metric: Values, rated: Values, orders: Sequence[NDArray[np.intp]]) -> Values:
    """The coefficient's size under each order of the ratings."""
    if name == "spearman":
        metric, rated = stats.rankdata(metric), stats.rankdata(rated)
    if name != "kendall":
        return np.array([abs(pearson(metric, rated[order])) for order in orders])
    # Ties stay the same in every order, so that only the sum of concordant minus discordant pairs changes.
    one, other = (np.sign(values[:, None] - values[None, :]) for values in (metric, rated))
    scale = math.sqrt(float(np.abs(one).sum()) * float(np.abs(other).sum()))
    return np.array([abs(float((one * other[np.ix_(order, order)]).sum())) / scale for order in orders])


def _orders(n: int) -> tuple[Sequence[NDArray[np.intp]], str]:
    if n <= _ALL_PERMUTATIONS:
        every = [np.array(order) for order in itertools.permutations(range(n))]
        return every, f"permutation test, all {len(every):,} orders of {n} systems"
    rng = np.random.default_rng(SEED)
    return [rng.permutation(n) for _ in range(PERMUTATIONS)], f"permutation test, {PERMUTATIONS:,} orders, seed {SEED}"


def over_items(metric: Values, ratings: Values, items: Sequence[str]) -> dict[Name, Correlation]:
    """Coefficients over items: a metric's values against ratings averaged over raters.

    Args:
        metric: shape (N,), a value for each pair of a system and an item.
        ratings: shape (R, N), NaN where a rater did not rate; every column has a rating.
        items: N ids: outputs of several systems for one item are drawn together.
    """
    rated, n = np.nanmean(ratings, axis=0) if len(metric) else np.empty(0), len(metric)
    names, member = np.unique(np.asarray(items, dtype=str), return_inverse=True)
    if len(names) < FEWEST:
        return _none(n, f"not estimable: {len(names)} items, {FEWEST} needed")
    if not _vary(metric, rated):
        return _none(n, "not estimable: every item has the same value")
    draws = _resampled(metric, ratings, member, len(names))
    raters = f"and {len(ratings)} raters" if len(ratings) > 1 else "of one rater"
    method = f"bootstrap over {len(names)} items {raters}, {RESAMPLES} resamples, seed {SEED}"
    found: dict[Name, Correlation] = {}
    for name, compute in COEFFICIENTS.items():
        kept = draws[name][np.isfinite(draws[name])]
        low, high = np.percentile(kept, [2.5, 97.5]) if len(kept) else (None, None)
        ends = [None if end is None else float(end) for end in (low, high)]
        found[name] = Correlation(compute(metric, rated), ends[0], ends[1], None, n, method)
    return found


def _resampled(metric: Values, ratings: Values, member: NDArray[np.intp], items: int) -> dict[Name, Values]:
    """Each coefficient in each resample of items and raters; NaN where nothing varies."""
    rng = np.random.default_rng(SEED)
    given = np.isfinite(ratings).astype(np.float64)
    filled = np.nan_to_num(ratings)
    places = [np.flatnonzero(member == item) for item in range(items)]
    draws: dict[Name, list[float]] = {name: [] for name in COEFFICIENTS}
    for _ in range(RESAMPLES):
        weights = np.bincount(rng.integers(len(ratings), size=len(ratings)), minlength=len(ratings)).astype(np.float64)
        chosen = np.concatenate([places[item] for item in rng.integers(items, size=items)])
        totals = weights @ given[:, chosen]
        rated = totals > 0  # an item that none of the drawn raters rated leaves the resample
        means = (weights @ filled[:, chosen])[rated] / totals[rated]
        for name, compute in COEFFICIENTS.items():
            draws[name].append(compute(metric[chosen][rated], means))
    return {name: np.array(values) for name, values in draws.items()}


def _none(n: int, why: str) -> dict[Name, Correlation]:
    return {name: Correlation(None, None, None, None, n, why) for name in COEFFICIENTS}


def alpha(ratings: Values) -> float | None:
    """Krippendorff's alpha with the interval metric: 1 full agreement, 0 that of chance, below 0 worse.

    K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): one minus the mean squared difference within
    units over that of all pairs of values; units with one rating do not count.

    Args:
        ratings: shape (R, N), NaN where a rater did not rate a unit.

    Returns:
        None where no unit has two ratings, or all ratings are equal.

    >>> alpha(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 2.0]]))
    0.7058823529411764
    """
    given = np.isfinite(ratings)
    counts = given.sum(axis=0)
    kept = counts > 1
    if not kept.any():
        return None
    values, counts = np.nan_to_num(ratings[:, kept]), counts[kept].astype(np.float64)
    total = counts.sum()
    squares, sums = (values**2).sum(axis=0), values.sum(axis=0)
    within = float((2 * (counts * squares - sums**2) / (counts - 1)).sum() / total)
    between = float(2 * (total * squares.sum() - sums.sum() ** 2) / (total * (total - 1)))
    return None if between <= _EQUAL else 1 - within / between
