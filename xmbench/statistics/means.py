"""How sure a mean is when items come in groups: its variance, degrees of freedom, interval and p-value.

Items of a group (speaker, video, piece) vary together, so the groups are what was drawn. The variance is that of a
ratio estimator, from the groups' sums of deviations. With groups of unequal size it is made unbiased, and gets its
degrees of freedom (Satterthwaite, 1946), under a model with a random effect of each group (Bell and McCaffrey, 2002;
Imbens and Kolesar, 2016); with groups of equal size both are the textbook's: G / (G - 1), and G - 1 degrees.

Several seeds of a system are a second way in which its mean varies: runs of the same system on the same items
(Cameron, Gelbach and Miller, 2011, two-way clustering).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

FEW_GROUPS = 5  # with fewer, nothing is said about how sure a score is
FEW_SEEDS = 3  # with fewer, nothing is said about how a score varies with the seed
_NORMAL = 1e10  # degrees of freedom with which Student's t is the normal distribution in every digit
_LEAST = -600.0  # logarithm of the smallest p-value that is told from 0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """One source of a mean's variance: what it adds, and with how many degrees of freedom it was estimated."""

    variance: float
    degrees: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How a mean varies.

    Attributes:
        items: with the groups that the items come from.
        groups: their number.
        seeds: with the seeds of each system, where there are enough.
    """

    items: Part
    groups: int
    seeds: tuple[Part, ...] = ()

    @property
    def estimable(self) -> bool:
        """Whether there are groups enough to say anything."""
        return self.groups >= FEW_GROUPS

    def reach(self, tail: float = 0.025) -> float:
        """How far the interval reaches to each side that leaves out `tail` there.

        Each part counts with its own quantile of Student's t (Cochran's way, 1964): with three seeds Satterthwaite's
        pooled degrees cover too little.
        """
        return math.sqrt(math.fsum(quantile(part.degrees, tail) ** 2 * part.variance for part in self._parts))

    def p_value(self, difference: float) -> float:
        """Two-sided: how often the mean would be so far from 0 if the true one is 0. In 0..1."""
        away = abs(difference)
        if away == 0.0:
            return 1.0
        if len(self._parts) == 1:
            error = math.sqrt(self._parts[0].variance)
            return 2.0 * float(special.stdtr(min(self._parts[0].degrees, _NORMAL), -away / error)) if error else 0.0
        if self.reach(math.exp(_LEAST)) <= away:
            return 0.0
        log = optimize.brentq(lambda x: self.reach(math.exp(x)) - away, _LEAST, math.log(0.5))
        return 2.0 * math.exp(log)

    @property
    def _parts(self) -> tuple[Part, ...]:
        return self.items, *(part for part in self.seeds if part.variance > 0.0)


def quantile(degrees: float, tail: float = 0.025) -> float:
    """Of Student's t: what is exceeded with the probability `tail`."""
    return -float(special.stdtrit(min(degrees, _NORMAL), tail))


def exact_mean(values: Floats) -> float:
    """The mean of values (N,), from a sum without rounding errors: the same in any order on any machine."""
    return math.fsum(values.tolist()) / len(values)


def members(groups: Sequence[str] | NDArray[np.str_]) -> NDArray[np.intp]:
    """Each item's group as a number 0..G-1: (N,)."""
    return np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1]


def clustered(values: Floats, member: NDArray[np.intp]) -> Spread:
    """How the mean of values varies from one draw of the groups to the next.

    Args:
        values: shape (N,), N >= 1.
        member: shape (N,): each item's group, 0..G-1.
    """
    sizes: Floats = np.bincount(member).astype(np.float64)
    groups, n = len(sizes), len(values)
    if groups < 2:
        return Spread(Part(math.inf, 1.0), groups)
    away = values - exact_mean(values)
    sums: Floats = np.asarray(
        np.bincount(member, weights=away), dtype=np.float64
    )  # (G,) n_g times the group's deviation
    if np.all(sizes == sizes[0]):
        return Spread(Part(_sum(sums**2) / n**2 * groups / (groups - 1), groups - 1.0), groups)
    between = _variances(sizes, _correlation(away, sums, sizes))
    scale, degrees = _satterthwaite(sizes / n, between)
    return Spread(Part(_sum(sums**2) / n**2 * scale, degrees), groups)


def _correlation(away: Floats, sums: Floats, sizes: Floats) -> float:
    """The intra-class correlation by analysis of variance, within 0..1."""
    n, groups = len(away), len(sizes)
    explained = _sum(sums**2 / sizes)
    between = explained / (groups - 1)
    within = (_sum(away**2) - explained) / (n - groups) if n > groups else 0.0
    typical = (n - _sum(sizes**2) / n) / (groups - 1)
    total = between + (typical - 1.0) * within
    return min(1.0, max(0.0, (between - within) / total)) if total > 0.0 else 0.0


def _variances(sizes: Floats, correlation: float) -> Floats:
    """Variance of each group's mean under a random effect of the group, up to a factor: (G,)."""
    return np.asarray(correlation + (1.0 - correlation) / sizes)


def _satterthwaite(shares: Floats, variances: Floats) -> tuple[float, float]:
    """What makes the sum of squared (share times deviation) unbiased, and its degrees of freedom.

    Args:
        shares: p (G,), each group's share of the items.
        variances: v (G,), of the groups' means. The deviations from the total mean have the covariance
            v_g [g = h] - q_g - q_h + s with q = p v, s = sum p^2 v: the variance of the total mean.
    """
    weight, q = shares**2, shares * variances
    s = _sum(weight * variances)
    diagonal = variances - 2.0 * q + s
    trace = _sum(weight * diagonal)
    w, wq, wqq = _sum(weight), _sum(weight * q), _sum(weight * q**2)
    squares = s * s * w * w + 2.0 * w * wqq - 4.0 * s * w * wq + 2.0 * wq * wq
    squares += _sum(weight**2 * (diagonal**2 - (s - 2.0 * q) ** 2))
    return s / trace, max(1.0, trace * trace / squares)


def evenness(values: Floats, member: NDArray[np.intp]) -> float:
    """How many groups make up the variance of a mean: 1 if it is one of them, a third of them if they are normal.

    Args:
        values: shape (N,), N >= 1.
        member: shape (N,): each item's group, 0..G-1.
    """
    squares: Floats = np.asarray(np.bincount(member, weights=values - exact_mean(values)) ** 2, dtype=np.float64)
    total = _sum(squares)
    return total * total / _sum(squares**2) if total > 0.0 else len(squares) / 3.0


def over_seeds(runs: Floats, member: NDArray[np.intp]) -> Spread:
    """How the mean over items and seeds varies.

    With fewer than `FEW_SEEDS` runs it is that of the items only.

    Args:
        runs: shape (S, N): the same N items in S runs of one system.
        member: shape (N,): each item's group, 0..G-1.
    """
    return Spread(clustered(runs.mean(axis=0), member).items, int(member.max()) + 1, from_seeds(runs, member))


def from_seeds(runs: Floats, member: NDArray[np.intp]) -> tuple[Part, ...]:
    """The part of the seeds alone, without what the items already show; none with fewer than `FEW_SEEDS` runs."""
    count = len(runs)
    if count < FEW_SEEDS:
        return ()
    scores = np.array([exact_mean(run) for run in runs])
    rest = runs - runs.mean(axis=0) - (scores - scores.mean())[:, None]
    shared = math.fsum(clustered(run, member).items.variance for run in rest) / (count - 1) / count
    return (Part(max(0.0, float(scores.var(ddof=1)) / count - shared), count - 1.0),)


def _sum(values: NDArray[np.floating]) -> float:
    return math.fsum(values.tolist())
