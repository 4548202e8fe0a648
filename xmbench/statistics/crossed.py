"""The interval of a mean of which both the items and the raters are samples: every rater may rate every item."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from xmbench.statistics.intervals import Interval
from xmbench.statistics.means import FEW_GROUPS, FEW_SEEDS
from xmbench.statistics.resampling import SEED, reach_of_draws, resampled_weights

Values = NDArray[np.float64]


def crossed_mean(values: Values) -> float:
    """The mean over items of the mean over their raters; NaN where nothing is rated.

    Args:
        values: shape (R, N), NaN where a rater did not rate an item.
    """
    return float(_means(values, np.ones((1, len(values))), np.ones((1, values.shape[1])))[0])


def of_crossed(
    values: Values, groups: Sequence[str], *, low: float = -math.inf, high: float = math.inf, seed: int = SEED
) -> Interval:
    """The 95 % interval of `crossed_mean`: a bootstrap over items, by group, and one over raters.

    Each of the two reaches as far as its percentiles, widened for few groups or few raters; the reaches are combined
    as those of items and seeds are (`of_runs`). One or two raters cannot tell how raters differ: the interval is then
    that of these raters.

    Args:
        values: shape (R, N), NaN where a rater did not rate an item.
        groups: N names: items that vary together.
        low: bound of a value; the interval stays within.
        high: the other bound.
        seed: of the resamples.
    """
    rated = np.isfinite(values).any(axis=0)
    values = values[:, rated]
    kept = [groups[place] for place in np.flatnonzero(rated).tolist()]
    count, raters = len(set(kept)), int(np.isfinite(values).any(axis=1).sum())
    if count < FEW_GROUPS:
        return Interval.none(count)
    value = crossed_mean(values)
    ones = np.ones((1, len(values)))
    reaches = [_reach(lambda drawn: _means(values, ones, drawn), resampled_weights(kept, seed=seed), value, count)]
    if raters >= FEW_SEEDS:
        values = values[np.isfinite(values).any(axis=1)]
        names, items = [f"{place:09d}" for place in range(raters)], np.ones((1, values.shape[1]))
        draws = resampled_weights(names, seed=seed + 1)  # others than those of the items
        reaches.append(_reach(lambda drawn: _means(values, drawn, items), draws, value, raters))
    below, above = (math.hypot(*sides) for sides in zip(*reaches, strict=True))
    return Interval(max(low, value - below), min(high, value + above), "bootstrap", count)


def _reach(
    reduce: Callable[[Values], Values], weights: Iterator[Values], value: float, count: int
) -> tuple[float, float]:
    """How far the percentiles of the resamples are below and above the value."""
    first, last = reach_of_draws(np.concatenate([reduce(drawn) for drawn in weights]), value, count)
    return max(0.0, -first), max(0.0, last)


def _means(values: Values, raters: Values, items: Values) -> Values:
    """The mean in each resample, (S,); an item that no drawn rater rated leaves it.

    Args:
        values: (R, N).
        raters: (S or 1, R): how often each counts.
        items: (S or 1, N).
    """
    given = np.isfinite(values).astype(np.float64)
    totals = raters @ given  # (S or 1, N)
    rated = totals > 0
    means = np.where(rated, (raters @ np.nan_to_num(values)) / np.where(rated, totals, 1.0), 0.0)
    weights = items * rated
    sums = weights.sum(axis=1)
    return np.asarray(np.where(sums > 0, (weights * means).sum(axis=1) / np.where(sums > 0, sums, 1.0), np.nan))
