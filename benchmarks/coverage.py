"""Does a 95 % interval hold the true score in 95 of 100 cases, and do equal systems share a rank?

Every kind of interval that xmbench prints is made for data whose true score is known, many times over: `coverage` is
the share of the times that it holds it. Equal systems are put on boards: `separated` is the share of boards with more
than one rank. Goals: coverage .93 to .97, above it is named conservative; separated at most .06.
Run: ``python benchmarks/coverage.py`` (about four minutes of one core), ``--fast`` for a rough look in seconds.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from xmbench.leaderboard.ranking import Column, System, ranked
from xmbench.statistics import Interval, of_difference, of_mean, of_reduction, of_runs

Floats = NDArray[np.float64]
LOWEST, HIGHEST, SEPARATED = 0.93, 0.97, 0.06


@dataclass(frozen=True, slots=True)
class Case:
    """One line: what was simulated, how often, and what came out.

    Attributes:
        kind: part of the table.
        share: coverage, or separated boards; None if the interval is not estimable, as it should be.
        width: mean width of the intervals; None for boards.
    """

    kind: str
    name: str
    times: int
    share: float | None
    width: float | None = None

    @property
    def verdict(self) -> str:
        """Against the goals."""
        if self.share is None:
            return "not estimable"
        if self.kind.startswith("separated"):
            return "" if self.share <= SEPARATED else "above the goal"
        return "below the goal" if self.share < LOWEST else "conservative" if self.share > HIGHEST else ""


Trial = Callable[[np.random.Generator], tuple[Interval, float]]


def covered(kind: str, name: str, times: int, trial: Trial) -> Case:
    """Runs a trial, which gives an interval and the true score; each case has its own seed, from its name."""
    rng = np.random.default_rng(zlib.crc32(f"{kind} {name}".encode()))
    held, widths = 0, []
    for _ in range(times):
        found, truth = trial(rng)
        if found.low is None or found.high is None:
            return Case(kind, name, times, None)
        held += found.low <= truth <= found.high
        widths.append(found.high - found.low)
    return Case(kind, name, times, held / times, float(np.mean(widths)))


# ------------------------------------------------------------------------------------------------ items in groups
def membership(rng: np.random.Generator, groups: int, items: int, unequal: bool) -> NDArray[np.intp]:
    """Each item's group: of one size, or log-normal sizes (the largest of 10 groups has about a third)."""
    if not unequal:
        return np.arange(items) % groups
    drawn = rng.choice(groups, size=items - groups, p=(w := rng.lognormal(0.0, 1.0, groups)) / w.sum())
    return np.concatenate([np.arange(groups), drawn])


def normal(rng: np.random.Generator, member: NDArray[np.intp], correlation: float) -> Floats:
    """Items of variance 1 around 0, of which `correlation` is shared within a group."""
    shared = rng.normal(size=member.max() + 1)[member]
    return np.asarray(np.sqrt(correlation) * shared + np.sqrt(1.0 - correlation) * rng.normal(size=len(member)))


def right(rng: np.random.Generator, member: NDArray[np.intp], share: float, correlation: float) -> Floats:
    """Items that are right (1) or wrong (0): groups have beta-distributed shares around `share`."""
    groups = int(member.max()) + 1
    own = np.full(groups, share)
    if correlation > 0.0 and share < 1.0:
        scale = (1.0 - correlation) / correlation
        own = rng.beta(share * scale, (1.0 - share) * scale, groups)
    return (rng.random(len(member)) < own[member]).astype(np.float64)


def means(times: int) -> Iterator[Case]:
    """Means over items, as of STOI or Corr2D."""
    for groups, items in ((2, 100), (5, 100), (10, 100), (20, 400), (50, 500), (2000, 2000)):
        for unequal in (False, True) if 2 < groups < 2000 else (False,):
            for correlation in (0.0, 0.1, 0.5) if groups < 2000 else (0.0,):

                def trial(
                    rng: np.random.Generator, g: int = groups, n: int = items, u: bool = unequal, c: float = correlation
                ) -> tuple[Interval, float]:
                    member = membership(rng, g, n, u)
                    return of_mean([normal(rng, member, c)], member), 0.0

                sizes = "unequal" if unequal else "equal"
                yield covered("mean", f"{groups} groups, {sizes}, correlation {correlation:g}", times, trial)


def shares(times: int) -> Iterator[Case]:
    """Shares of right items, as of word accuracy."""
    for share in (0.5, 0.9, 0.99, 0.999, 1.0):
        for groups, items in ((2, 360), (5, 360), (10, 360), (20, 400), (2000, 2000)):
            for correlation in (0.0, 0.1, 0.5) if 2 < groups < 2000 and share < 1.0 else (0.0,):

                def trial(
                    rng: np.random.Generator, s: float = share, g: int = groups, n: int = items, c: float = correlation
                ) -> tuple[Interval, float]:
                    member = membership(rng, g, n, False)
                    return of_mean([right(rng, member, s, c)], member, low=0.0, high=1.0), s

                yield covered("share", f"{share:g}, {groups} groups, correlation {correlation:g}", times, trial)


def differences(times: int) -> Iterator[Case]:
    """Paired differences of two systems with the same true score: some items are hard for both."""
    for groups, items in ((5, 100), (10, 360), (20, 400), (2000, 2000)):

        def trial(rng: np.random.Generator, g: int = groups, n: int = items) -> tuple[Interval, float]:
            member, shared = membership(rng, g, n, False), rng.normal(size=n)
            a, b = (shared + normal(rng, member, 0.1) for _ in range(2))
            return _of_difference([a], [b], member), 0.0

        yield covered("difference", f"of means, {groups} groups", times, trial)
    for share in (0.5, 0.9, 0.99, 0.999):
        for groups, items in ((10, 360), (360, 360), (2000, 2000)):

            def trial_of_shares(
                rng: np.random.Generator, s: float = share, g: int = groups, n: int = items
            ) -> tuple[Interval, float]:
                member = membership(rng, g, n, False)
                hard = rng.random(n) < 2.0 * (1.0 - s)
                a, b = (np.where(hard, rng.random(n) < 0.5, True).astype(np.float64) for _ in range(2))
                return _of_difference([a], [b], member), 0.0

            yield covered("difference", f"of shares {share:g}, {groups} groups", times, trial_of_shares)


def _of_difference(a: list[Floats], b: list[Floats], member: NDArray[np.intp]) -> Interval:
    found = of_difference(a, b, member)
    return Interval(found.low, found.high, "cluster-t", found.groups)


# ------------------------------------------------------------------------------------------------------ distributions
def distance(states: Floats, weights: Floats) -> Floats:
    """The Frechet distance of outputs and references with independent coordinates: (N, 2 D), (B, N) -> (B,)."""
    total = weights.sum(axis=1, keepdims=True)
    mean = weights @ states / total
    spread = np.sqrt(np.maximum(weights @ states**2 / total - mean**2, 0.0))
    size = states.shape[1] // 2
    apart = (mean[:, :size] - mean[:, size:]) ** 2 + (spread[:, :size] - spread[:, size:]) ** 2
    return np.asarray(apart.sum(axis=1))


def class_distance(states: Floats, weights: Floats) -> Floats:
    """The mean over classes of the distance within a class; the last column is the class."""
    labels = states[:, -1]
    return np.mean([distance(states[labels == k, :-1], weights[:, labels == k]) for k in np.unique(labels)], axis=0)


def embeddings(rng: np.random.Generator, member: NDArray[np.intp], moved: float) -> Floats:
    """Outputs, references and class of each item (N, 2 * 8 + 1): a tenth of an output's variance is its group's."""
    made = np.stack([normal(rng, member, 0.1) for _ in range(8)], axis=1)
    known = rng.normal(size=(len(member), 8))
    return np.hstack([1.1 * made + moved, known, rng.integers(5, size=(len(member), 1))])


def distributions(times: int) -> Iterator[Case]:
    """Scores of all items together: their true value is the mean score of data of this size (few items raise it)."""
    for what, reduce in (("distance", distance), ("class distance", class_distance)):
        for groups, items in ((2, 400), (5, 400), (10, 400), (20, 400), (400, 400), (2000, 2000)):
            for moved in (0.0, 0.5):
                own = np.random.default_rng(7)
                member = np.arange(items) % groups
                drawn = (embeddings(own, member, moved) for _ in range(max(40, 4 * times)))
                truth = float(np.mean([_one(reduce, states) for states in drawn]))

                def trial(
                    rng: np.random.Generator,
                    m: NDArray[np.intp] = member,
                    d: float = moved,
                    t: float = truth,
                    r: Callable[[Floats, Floats], Floats] = reduce,
                ) -> tuple[Interval, float]:
                    return of_reduction(r, _states(r, rng, m, d), [str(g) for g in m], centred=True, low=0.0), t

                where = "outputs moved by .5" if moved else "outputs like references"
                yield covered("distribution", f"{what}, {items} items in {groups} groups, {where}", times, trial)


def _states(
    reduce: Callable[[Floats, Floats], Floats], rng: np.random.Generator, member: NDArray[np.intp], moved: float
) -> Floats:
    states = embeddings(rng, member, moved)
    return states if reduce is class_distance else states[:, :-1]


def _one(reduce: Callable[[Floats, Floats], Floats], states: Floats) -> float:
    return float(reduce(states if reduce is class_distance else states[:, :-1], np.ones((1, len(states))))[0])


# -------------------------------------------------------------------------------------------------------------- seeds
def runs_of(
    rng: np.random.Generator, member: NDArray[np.intp], seeds: int, varies: float, shared: Floats
) -> list[Floats]:
    """Runs of a system: what all systems and seeds share on an item, and what the system and the seed add.

    `varies` is the standard deviation of the mean from seed to seed, in standard errors over the items.
    """
    system = shared + normal(rng, member, 0.1)
    error = float(np.sqrt(1.0 / len(member) + 0.1 / (member.max() + 1.0) + 0.9 / len(member)))
    return [system + varies * error * rng.normal() + 0.5 * rng.normal(size=len(member)) for _ in range(seeds)]


def seeds(times: int) -> Iterator[Case]:
    """Means over items and seeds; the true score is that of other items and other seeds."""
    for groups, items in ((10, 360), (360, 360)):
        for count, varies in ((1, 0.0), (1, 1.0), (3, 0.0), (3, 1.0), (3, 3.0), (5, 1.0)):

            def trial(
                rng: np.random.Generator, g: int = groups, n: int = items, k: int = count, v: float = varies
            ) -> tuple[Interval, float]:
                member = membership(rng, g, n, False)
                return of_mean(runs_of(rng, member, k, v, rng.normal(size=n)), member), 0.0

            what = f"{count} seed{'s' if count > 1 else ''}, {groups} groups, varying {varies:g} times as items do"
            yield covered("seeds", what, times, trial)
    for varies in (0.0, 1.0, 3.0):

        def trial_of_runs(rng: np.random.Generator, v: float = varies) -> tuple[Interval, float]:
            member = membership(rng, 10, 360, False)
            runs = runs_of(rng, member, 3, v, rng.normal(size=360))
            ends = [(i.low, i.high) for i in (of_mean([run], member) for run in runs)]
            values = [float(run.mean()) for run in runs]
            low, high = of_runs(values, [(a, b) for a, b in ends if a is not None and b is not None])
            return Interval(low, high, "cluster-t", 10), 0.0

        what = f"3 seeds, 10 groups, varying {varies:g} times as items do, from the runs' own intervals"
        yield covered("seeds", what, times, trial_of_runs)


# ------------------------------------------------------------------------------------------------------------- boards
def board(rng: np.random.Generator, systems: int, seeds: int, varies: float, groups: int, share: float) -> bool:
    """Whether a board of equal systems has more than one rank."""
    items = 360
    member = membership(rng, groups, items, False)
    ids, names = tuple(map(str, range(items))), tuple(map(str, member))
    shared, hard = rng.normal(size=items), rng.random(items) < 2.0 * (1.0 - share)
    found = []
    for number in range(systems):
        runs = runs_of(rng, member, seeds, varies, shared)
        if share < 1.0:
            runs = [np.where(hard, rng.random(items) < 0.5, True).astype(np.float64) for _ in range(seeds)]
        columns = tuple(Column(ids, names, run) for run in runs)
        found.append(System(str(number), float(np.mean(runs)), None, None, columns))
    return max(row.rank for row in ranked(found, higher_is_better=True, smallest_difference=0.0)) > 1


def boards(times: int) -> Iterator[Case]:
    """Boards of equal systems. Two systems are a pair that `compare` would separate."""
    kinds = (
        ("1 seed, means, 360 groups", 1, 0.0, 360, 1.0),
        ("1 seed, means, 10 groups", 1, 0.0, 10, 1.0),
        ("1 seed, shares of .9, 360 groups", 1, 0.0, 360, 0.9),
        ("3 seeds that vary as much as items, 360 groups", 3, 1.0, 360, 1.0),
        ("3 seeds that vary 3 times as much, 10 groups", 3, 3.0, 10, 1.0),
        ("1 seed that varies as much as items, 360 groups (too few seeds)", 1, 1.0, 360, 1.0),
    )
    for name, count, varies, groups, share in kinds:
        for systems in (2, 5, 10, 20):
            rng = np.random.default_rng(zlib.crc32(f"{name} {systems}".encode()))
            own = max(10, times if systems <= 5 else times // 2 if systems == 10 else times // 4)
            hits = sum(board(rng, systems, count, varies, groups, share) for _ in range(own))
            yield Case("separated", f"{systems} equal systems, {name}", own, hits / own)


PARTS: tuple[tuple[Callable[[int], Iterator[Case]], int], ...] = (
    (means, 2000),
    (shares, 2000),
    (differences, 2000),
    (distributions, 400),
    (seeds, 1500),
    (boards, 800),
)


def simulated(scale: float) -> Iterator[Case]:
    """Every case, with this share of the replications."""
    for part, times in PARTS:
        yield from part(max(10, round(scale * times)))


def row(case: Case) -> str:
    """A line of the table."""
    share = "–" if case.share is None else f"{case.share:.3f}"
    width = "" if case.width is None else f"{case.width:.4f}"
    return f"| {case.kind} | {case.name} | {case.times:,} | {share} | {width} | {case.verdict} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the replications")
    parser.add_argument("--fast", action="store_const", const=0.025, dest="scale", help="a fortieth of them")
    parser.add_argument("--json", action="store_true", help="one object for each line")
    args = parser.parse_args()
    started = time.process_time()
    if not args.json:
        print("| what | case | times | coverage, or separated | mean width | |\n|---|---|---|---|---|---|")
    for case in simulated(args.scale):
        print(json.dumps(asdict(case) | {"verdict": case.verdict}) if args.json else row(case), flush=True)
    if not args.json:
        print(f"\n{time.process_time() - started:.0f} s of processor time")


if __name__ == "__main__":
    main()
