"""What enters a mean: an item's value, the metric's lower bound in its place, or nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmbench.statistics.means import exact_mean

_SAME = 1e-9  # a mean summed in another order, over any number of items


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
        return exact_mean(self.values[self.counts]) if self.counts.any() else float("nan")

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
