"""A seeded bootstrap over per-item states, clustered by group, for scores that are no means of items.

Items that share a group (speaker, video, piece) are drawn together. No metric is recomputed: `reduce` runs on the
cached states with the weights of each resample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from xmbench.statistics.intervals import LEVEL, Interval
from xmbench.statistics.means import FEW_GROUPS, members, quantile

RESAMPLES = 1000
SEED = 20261121
_CHUNK = 50

Reduce = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def resampled_weights(
    groups: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED
) -> Iterator[NDArray[np.float64]]:
    """How often each item counts in each resample, in chunks of shape (<= 50, N).

    The draws depend on the groups' sorted names only, so two systems that were scored on the same items get
    the same resamples (paired comparison).
    """
    member = members(groups)
    names = int(member.max()) + 1
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        drawn = rng.integers(names, size=(size, names))
        counts = np.stack([np.bincount(row, minlength=names) for row in drawn])
        yield counts[:, member].astype(np.float64)


def one_thread() -> threadpool_limits:
    """A context in which matrix products take their sums in one order on any number of cores."""
    return threadpool_limits(limits=1, user_api="blas")


def of_reduction(
    reduce: Reduce,
    states: NDArray[np.float64],
    groups: Sequence[str],
    *,
    centred: bool = False,
    low: float = -math.inf,
    high: float = math.inf,
    seed: int = SEED,
) -> Interval:
    """The interval of a score that is not the mean of its items: its resamples, widened for few groups.

    With few groups a bootstrap spreads too little: sqrt((G - 1) / G) of what it should, and its percentiles are those
    of a normal distribution, not of Student's with G - 1 degrees. The distances of its percentiles are scaled by both.

    Args:
        reduce: the metric's reduction.
        states: shape (N, D), N >= 1.
        groups: N group names.
        centred: repeated items shift the score: the distances are from the resamples' own mean, not from the score.
        low: bound of the score; the interval stays within.
        high: the other bound.
        seed: of the resamples.
    """
    count = len(set(groups))
    if count < FEW_GROUPS:
        return Interval.none(count)
    drawn = np.concatenate([reduce(states, weights) for weights in resampled_weights(groups, seed=seed)])
    value = float(reduce(states, np.ones((1, len(states))))[0])
    known = drawn[~np.isnan(drawn)]
    first, last = reach_of_draws(known, float(known.mean()) if centred else value, count)
    return Interval(max(low, min(value, value + first)), min(high, max(value, value + last)), "bootstrap", count)


def reach_of_draws(draws: NDArray[np.float64], value: float, count: int) -> tuple[float, float]:
    """The distances of the percentiles from the value, both signed, widened for few groups.

    Args:
        draws: resamples (R,); those that are NaN do not count.
        value: what they are resamples of.
        count: groups that were drawn, at least 2.
    """
    wider = quantile(count - 1.0) / quantile(math.inf)
    first, last = (np.array(ends(draws)) - value) * wider * math.sqrt(count / (count - 1))
    return float(first), float(last)


def ends(draws: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile interval of the resamples (R,); those that are NaN do not count."""
    tail = 100.0 * (1.0 - LEVEL) / 2.0
    low, high = np.nanpercentile(draws, [tail, 100.0 - tail])
    return float(low), float(high)
