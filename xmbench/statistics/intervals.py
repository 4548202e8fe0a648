"""The 95 % interval of a score and of a difference of two scores, and what decides between two systems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.statistics.means import Floats, Spread, exact_mean, from_seeds, over_seeds, together
from xmbench.statistics.means import clustered as clustered_spread

LEVEL = 0.95
EQUAL = 1e-12  # sums of the same values in another order differ by less

Method = Literal["bootstrap", "cluster-t", "wilson", "none"]


@dataclass(frozen=True, slots=True)
class Interval:
    """The 95 % interval of a score; None at both ends where there are too few groups to estimate it."""

    low: float | None
    high: float | None
    method: Method
    groups: int

    @classmethod
    def none(cls, groups: int) -> Interval:
        """Not estimable."""
        return cls(None, None, "none", groups)


@dataclass(frozen=True, slots=True)
class Difference:
    """One system minus another, on the same items.

    Attributes:
        value: of the scores.
        low, high: its 95 % interval; None where it cannot be estimated.
        p: two-sided p-value; 1 where it cannot be estimated.
        groups: clusters behind it.
    """

    value: float
    low: float | None
    high: float | None
    p: float
    groups: int


def of_mean(
    runs: Sequence[Floats], member: NDArray[np.intp], *, low: float = -math.inf, high: float = math.inf
) -> Interval:
    """The interval of a mean over items, and over seeds if there are three or more.

    Shares (every value 0 or 1 and these the bounds): Wilson's, with as many items as independent ones would vary as
    much. All else: Student's t over the groups.

    Args:
        runs: the values (N,) of each seed, one for most systems.
        member: shape (N,): each item's group, 0..G-1.
        low, high: bounds of a value; the interval stays within.
    """
    table = np.stack(runs)
    spread = over_seeds(table, member)
    if not spread.estimable:
        return Interval.none(spread.groups)
    value = exact_mean(table.mean(axis=0))
    if (low, high) == (0.0, 1.0) and is_share(table):
        return Interval(*wilson(value, spread, table.shape[1]), "wilson", spread.groups)
    half = spread.quantile(LEVEL) * math.sqrt(spread.variance)
    return Interval(max(low, value - half), min(high, value + half), "cluster-t", spread.groups)


def is_share(values: Floats) -> bool:
    """Whether every value is 0 or 1."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def wilson(share: float, spread: Spread, items: int) -> tuple[float, float]:
    """The interval of a share (Wilson, 1927), with the effective number of items (Korn and Graubard, 1998).

    That number is the one of independent items whose share would vary as much. Where all items agree nothing shows how
    alike the items of a group are: then a group counts as one item.
    """
    alone = share * (1.0 - share)
    effective = min(float(items), alone / spread.variance) if spread.variance > 0.0 else float(spread.groups)
    squared = spread.quantile(LEVEL) ** 2
    centre = (share + squared / (2.0 * effective)) / (1.0 + squared / effective)
    half = math.sqrt(squared * (alone / effective + squared / (4.0 * effective**2))) / (1.0 + squared / effective)
    # the ends of 0 and 1 are exact: rounding leaves 1e-17 there
    return 0.0 if share <= 0.0 else max(0.0, centre - half), 1.0 if share >= 1.0 else min(1.0, centre + half)


def of_difference(first: Sequence[Floats], second: Sequence[Floats], member: NDArray[np.intp]) -> Difference:
    """The difference of two systems' means over the same items, and over their seeds.

    Between shares, one item that only the first has right and one that only the second has right are added to the
    variance and the size (Bonett and Price, 2012): few items decide there, and the plain interval is too narrow.

    Args:
        first: the values (N,) of each seed of the first system.
        second: the same of the second; it may have another number of seeds.
        member: shape (N,): each item's group, 0..G-1.
    """
    a, b = np.stack(first), np.stack(second)
    gains = a.mean(axis=0) - b.mean(axis=0)
    items = clustered_spread(gains, member)
    spread = together(items, [from_seeds(a, member), from_seeds(b, member)])
    value = exact_mean(gains)
    if not spread.estimable:
        return Difference(value, None, None, 1.0, spread.groups)
    centre, variance = value, spread.variance
    if is_share(a) and is_share(b):
        n = len(gains)
        centre, variance = value * n / (n + 2), (variance * n * n + 2.0) / (n + 2) ** 2
    used = Spread(variance, spread.degrees, spread.groups)
    half = used.quantile(LEVEL) * math.sqrt(variance)
    return Difference(value, min(value, centre - half), max(value, centre + half), used.p_value(centre), used.groups)
