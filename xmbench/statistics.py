"""What enters a mean, and the interval of a score: a seeded bootstrap over per-item states, clustered by group.

Percentile bootstrap (Efron 1979). Items that share a group (speaker, video, piece) are drawn together. No
metric is recomputed: `reduce` runs on the cached states with the weights of each resample.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

RESAMPLES = 1000
SEED = 20261121
LEVEL = 0.95
_CHUNK = 50
EQUAL = 1e-12  # sums of the same values in another order differ by less
_SAME = 1e-9  # a mean summed in another order, over any number of items

Reduce = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What enters a mean.

    Attributes:
        values: shape (N,) or (N, D): the floor if an item has no value.
        counts: bool (N,): False for items that leave the mean.
    """

    values: NDArray[np.float64]
    counts: NDArray[np.bool_]

    @property
    def mean(self) -> float:
        """Mean of the values (N,) that count; NaN if none does."""
        return float(self.values[self.counts].mean()) if self.counts.any() else float("nan")

    def makes_up(self, score: float | None) -> bool:
        """Whether the mean is this score, up to the rounding of sums in another order."""
        return score is not None and abs(self.mean - score) <= _SAME * max(1.0, abs(score))


def counted(
    values: NDArray[np.float64],
    measured: NDArray[np.bool_],
    statuses: Sequence[str],
    floor: float | None,
    left_out: Collection[str],
) -> Counted:
    """Which items enter a mean, and with what: the one rule behind scores, comparisons and boards.

    A measured item counts its value. Another one counts the floor, unless the metric has no floor or
    leaves its status out.

    Args:
        values: shape (N,) or (N, D); ignored if an item is not measured.
        measured: shape (N,): which items have a value.
        statuses: of the N items.
        floor: what an item without a value counts.
        left_out: statuses of items without a value that leave the mean.
    """
    absent = ~measured.reshape(len(measured), *(1,) * (values.ndim - 1))
    filled = np.where(absent, 0.0 if floor is None else floor, values)
    if floor is None:
        return Counted(filled, measured)
    leaves = np.fromiter((str(status) in left_out for status in statuses), dtype=np.bool_, count=len(measured))
    return Counted(filled, measured | ~leaves)


def resampled_weights(
    groups: Sequence[str], resamples: int = RESAMPLES, seed: int = SEED
) -> Iterator[NDArray[np.float64]]:
    """How often each item counts in each resample, in chunks of shape (<= 50, N).

    The draws depend on the groups' sorted names only, so two systems that were scored on the same items get
    the same resamples (paired comparison).
    """
    names, member = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        drawn = rng.integers(len(names), size=(size, len(names)))
        counts = np.stack([np.bincount(row, minlength=len(names)) for row in drawn])
        yield counts[:, member].astype(np.float64)


def one_thread() -> threadpool_limits:
    """A context in which matrix products take their sums in one order on any number of cores."""
    return threadpool_limits(limits=1, user_api="blas")


def resampled_means(
    values: NDArray[np.float64],
    counts: NDArray[np.bool_],
    groups: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> NDArray[np.float64]:
    """Means of several systems or metrics under the same resamples: differences of columns are paired.

    Args:
        values: shape (N, S).
        counts: shape (N, S): which items enter each mean.
        groups: N group names.
        resamples: how many.
        seed: of the resamples.

    Returns:
        shape (resamples, S); NaN where a resample has no item that counts.
    """
    kept, shares = np.where(counts, values, 0.0), counts.astype(np.float64)
    complete, means = bool(counts.all()), []
    with one_thread(), np.errstate(invalid="ignore"):
        for weights in resampled_weights(groups, resamples, seed):
            totals = weights.sum(axis=1, keepdims=True) if complete else weights @ shares
            means.append((weights @ kept) / totals)
    return np.concatenate(means)


def interval(
    reduce: Reduce, states: NDArray[np.float64], groups: Sequence[str], seed: int = SEED
) -> tuple[float, float]:
    """The 95 % interval of a score.

    Args:
        reduce: the metric's reduction.
        states: shape (N, D), N >= 1.
        groups: N group names.
        seed: of the resamples.

    Returns:
        Lower and upper end.
    """
    return intervals([(reduce, states)], groups, seed)[0]


def intervals(
    tables: Sequence[tuple[Reduce, NDArray[np.float64]]], groups: Sequence[str], seed: int = SEED
) -> list[tuple[float, float]]:
    """The 95 % intervals of several scores over the same items: each resample is drawn once for all of them."""
    values: list[list[NDArray[np.float64]]] = [[] for _ in tables]
    for weights in resampled_weights(groups, seed=seed):
        for own, (reduce, states) in zip(values, tables, strict=True):
            own.append(reduce(states, weights))
    return [ends(np.concatenate(own)) for own in values]


def ends(draws: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % percentile interval of the resamples (R,); those that are NaN do not count."""
    tail = 100.0 * (1.0 - LEVEL) / 2.0
    low, high = np.nanpercentile(draws, [tail, 100.0 - tail])
    return float(low), float(high)


def separates(low: float, high: float, groups: int) -> bool:
    """Whether the interval of a paired difference excludes zero; a single group has no spread to judge by."""
    return groups > 1 and (low > EQUAL or high < -EQUAL)
