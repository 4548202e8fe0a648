"""A seeded bootstrap over per-item states, clustered by group, for scores that are no means of items.

Items that share a group (speaker, video, piece) are drawn together. No metric is recomputed: `reduce` runs on the
cached states with the weights of each resample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from xmbench.statistics.means import members

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
