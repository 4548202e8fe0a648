"""The 95 % interval of a score and of a difference of two scores, and what decides between two systems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.statistics.means import (
    FEW_SEEDS,
    Floats,
    Part,
    Spread,
    clustered,
    evenness,
    exact_mean,
    from_seeds,
    over_seeds,
    quantile,
)

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
        low: bound of a value; the interval stays within.
        high: the other bound.
    """
    table = np.stack(runs)
    spread = over_seeds(table, member)
    if not spread.estimable:
        return Interval.none(spread.groups)
    value = exact_mean(table.mean(axis=0))
    if (low, high) == (0.0, 1.0) and is_share(table):
        ends = wilson(value, spread, table.shape[1], evenness(table.mean(axis=0), member))
        return Interval(*ends, "wilson", spread.groups)
    half = spread.reach()
    return Interval(max(low, value - half), min(high, value + half), "cluster-t", spread.groups)


def of_runs(
    values: Sequence[float], intervals: Sequence[tuple[float, float]], *, low: float = -math.inf, high: float = math.inf
) -> tuple[float, float]:
    """The interval of the mean over runs of which only the scores and their own intervals are known.

    The runs share the items, so a mean over runs varies with the items at most as much as they do on average. From
    three runs on, what the seeds add joins as in `Spread.reach`.

    Args:
        values: the score of each run.
        intervals: the interval of each, over items.
        low: bound of a score; the interval stays within.
        high: the other bound.
    """
    count, value = len(values), math.fsum(values) / len(values)
    below = value - math.fsum(ends[0] for ends in intervals) / count
    above = math.fsum(ends[1] for ends in intervals) / count - value
    seeds = quantile(count - 1.0) * stdev(values) / math.sqrt(count) if count >= FEW_SEEDS else 0.0
    return max(low, value - math.hypot(below, seeds)), min(high, value + math.hypot(above, seeds))


def is_share(values: Floats) -> bool:
    """Whether every value is 0 or 1."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def wilson(share: float, spread: Spread, items: int, evenness: float) -> tuple[float, float]:
    """The interval of a share (Wilson, 1927), with the effective number of items (Korn and Graubard, 1998).

    That is the number of independent items whose share would vary as much, and never more than there are. Near 0 and 1
    few groups decide how large it is, and mostly they agree by chance. So one more group that is all 0 or all 1 joins
    the variance (the less, the nearer the share is to a half), and the degrees of freedom are those of a variance to
    which groups contribute so unevenly (Satterthwaite, from their fourth moment). Where all items agree they are those
    of a single group.

    Args:
        share: 0..1.
        spread: of it.
        items: their number.
        evenness: 1 if one group makes all of the variance, up to a third of the groups if they are normal.
    """
    squared, agreed = quantile(math.inf) ** 2, share in (0.0, 1.0)
    near = (share * items + 1.0) / (items + 2.0) if agreed else share
    alone = near * (1.0 - near)
    own = Part(alone / items, math.inf)
    if spread.groups < items:
        each = spread.groups * (own.variance if agreed else spread.items.variance)  # of one group's share
        joining = 1.0 - 4.0 * alone
        variance = (each * spread.groups + joining * alone) / (spread.groups + joining) / spread.groups
        own = Part(variance, min(spread.items.degrees, 2.0 if agreed else 3.0 * evenness - 1.0))
    effective = min(float(items), alone * squared / Spread(own, spread.groups, spread.seeds).reach() ** 2)
    alone = share * (1.0 - share)
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
    items = clustered(gains, member).items
    spread = Spread(items, int(member.max()) + 1, (*from_seeds(a, member), *from_seeds(b, member)))
    value = exact_mean(gains)
    if not spread.estimable:
        return Difference(value, None, None, 1.0, spread.groups)
    centre = value
    if is_share(a) and is_share(b):
        n = len(gains)
        centre = value * n / (n + 2)
        items = Part((items.variance * n * n + 2.0) / (n + 2) ** 2, items.degrees)
        spread = Spread(items, spread.groups, spread.seeds)
    half = spread.reach()
    low, high = min(value, centre - half), max(value, centre + half)
    return Difference(value, low, high, spread.p_value(centre), spread.groups)
