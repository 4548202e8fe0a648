"""Ranks of a board's systems: 1 + the number of systems that are better, where better is more than chance.

Every two systems are compared: item by item if the values of both are known on the same items, else by their two
intervals. The p-values of all pairs are adjusted together (Holm, 1979) at 5 %, and a difference below the metric's
smallest difference decides nothing. Systems that the data do not separate from the same better ones share a rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.statistics import FEW_GROUPS, LEVEL, Part, Spread, holm, members, of_difference, quantile

Way = Literal["paired", "intervals", "not estimable", ""]


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """The primary metric of every item in one run.

    Attributes:
        ids: N ids, in the same order in every column of a board.
        groups: N names: the clusters of what the metric depends on.
        values: shape (N,): what each item counts (a failed one the metric's bound); NaN if it leaves the mean.
    """

    ids: Sequence[str]
    groups: Sequence[str]
    values: NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """One ranked row.

    Attributes:
        name: unique on the board.
        value: of the primary metric, the mean over the seeds.
        low, high: its 95 % interval; None where it cannot be estimated.
        columns: one for each seed; empty if items have no values of their own, or they are not known.
        degrees: of freedom of the interval, None for those of a normal distribution; used without columns only.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    columns: tuple[Column, ...] = ()
    degrees: float | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """The rank of a system, in the order in which the systems were given.

    Attributes:
        rank: 1 + the number of systems that are better.
        by: how it was compared with the others: "paired" with all of them, "intervals" with at least one, "not
            estimable" with none because there are too few groups, "" if it is alone.
        worse_than: names of the systems that are better.
        beyond_judge: it scores better than the real item, and ties with every other that does.
    """

    rank: int
    by: Way
    worse_than: tuple[str, ...] = ()
    beyond_judge: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """Two systems' comparison: the difference a - b, its p-value before the adjustment, and how it was made."""

    difference: float
    p: float
    by: Way


def ranked(
    systems: Sequence[System], *, higher_is_better: bool, smallest_difference: float, identity: float | None = None
) -> list[Placed]:
    """The rank of each system.

    Args:
        systems: of one board, in any order.
        higher_is_better: of the primary metric.
        smallest_difference: a smaller difference of two systems decides nothing.
        identity: what the real items score under the judge. Systems above it tie with each other: there the judge is
            the limit. None if no judge is involved, or the row is not on the board.

    Returns:
        One for each system, in their order.
    """
    sign = 1.0 if higher_is_better else -1.0
    beyond = [identity is not None and sign * (system.value - identity) > 0.0 for system in systems]
    pairs = {(i, j): paired(systems[i], systems[j]) for i, j in combinations(range(len(systems)), 2)}
    better: list[list[int]] = [[] for _ in systems]
    ways: list[list[Way]] = [[] for _ in systems]
    for ((i, j), pair), p in zip(pairs.items(), holm([pair.p for pair in pairs.values()]), strict=True):
        ways[i].append(pair.by)
        ways[j].append(pair.by)
        counts = abs(pair.difference) >= smallest_difference and not (beyond[i] and beyond[j])
        if p <= 1.0 - LEVEL and counts:
            first, last = (i, j) if sign * pair.difference > 0.0 else (j, i)
            better[last].append(first)
    return [
        Placed(1 + len(own), _way(way), tuple(systems[i].name for i in own), above)
        for own, way, above in zip(better, ways, beyond, strict=True)
    ]


def paired(a: System, b: System) -> Pair:
    """Compares two systems, item by item if possible."""
    if a.columns and b.columns and all(_fit(a.columns[0], other) for other in (*a.columns, *b.columns)):
        values = [[np.asarray(c.values, dtype=np.float64) for c in system.columns] for system in (a, b)]
        counts = ~np.isnan(np.stack([run for runs in values for run in runs])).any(axis=0)
        if counts.any():
            member = np.unique(_members(tuple(a.columns[0].groups))[counts], return_inverse=True)[1]
            found = of_difference([run[counts] for run in values[0]], [run[counts] for run in values[1]], member)
            return Pair(found.value, found.p, "not estimable" if found.low is None else "paired")
    return _by_intervals(a, b)


@lru_cache(maxsize=4)
def _members(groups: tuple[str, ...]) -> NDArray[np.intp]:
    """Each item's group as a number; all columns of a board share it."""
    return members(groups)


def _fit(a: Column, b: Column) -> bool:
    same = (one is other or tuple(one) == tuple(other) for one, other in ((a.ids, b.ids), (a.groups, b.groups)))
    return a is b or all(same)


def _by_intervals(a: System, b: System) -> Pair:
    """From the parts of the intervals that face each other (Newcombe, 1998).

    The items are the same and the scores vary together, which two intervals do not show: a difference has to be larger
    than it would have to be item by item.
    """
    difference = a.value - b.value
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return Pair(difference, 1.0, "not estimable")
    reaches = (a.value - a.low, b.high - b.value) if difference > 0.0 else (a.high - a.value, b.value - b.low)
    degrees = min(math.inf if s.degrees is None else s.degrees for s in (a, b))
    reach = math.hypot(*reaches) / quantile(degrees)
    return Pair(difference, Spread(Part(reach**2, degrees), FEW_GROUPS).p_value(difference), "intervals")


def _way(ways: Sequence[Way]) -> Way:
    """How one system was compared with all others."""
    known = [way for way in ways if way != "not estimable"]
    if ways and not known:
        return "not estimable"
    return "intervals" if "intervals" in known else "paired" if known else ""
