"""Two results on the same items: the paired difference, how sure it is, and whether the data can separate them.

Nothing is measured again: both per-item tables are read, and both systems get identical resamples of the
groups (paired, clustered percentile bootstrap, Efron 1979).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xmbench.errors import DocumentError
from xmbench.evaluator.save import load_scored
from xmbench.formats.item_scores import column
from xmbench.formats.result import Result, Score
from xmbench.statistics import EQUAL, RESAMPLES, SEED, Counted, ends, resampled_means, separates

FEW_GROUPS = 10
_DISTRIBUTION = "not paired: a distribution has no per-item values"
_OTHER_TABLE = "not paired: the per-item values do not give this score"

Verdict = Literal["A is better", "B is better", "the data cannot separate them"]


@dataclass(frozen=True, slots=True)
class PairedScore:
    """One metric of both systems.

    Attributes:
        a, b: the scores as the results state them.
        difference: a - b.
        low, high: 95 % interval of the difference.
        a_wins: share of the resamples in which A is better, 0..1.
        wins, ties, losses: items on which A is better, equal or worse; a failed item counts the metric's floor.
        n: items that count for both.
        groups: clusters among them.
        sentence: the verdict as text, with n and groups.
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    a_wins: float
    wins: int
    ties: int
    losses: int
    n: int
    groups: int
    verdict: Verdict
    sentence: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on one track and data set; `unpaired` gives the reason for each metric that is not paired."""

    track: str
    primary: str
    system_a: str
    system_b: str
    scores: tuple[PairedScore, ...]
    unpaired: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def compare(first: Path, second: Path) -> Comparison:
    """Compares two results with their per-item tables.

    Raises:
        DocumentError: not a result, or two that cannot be compared (every reason is listed).
        DatasetError: a per-item table is missing, damaged, or belongs to another result.
    """
    (a, items_a), (b, items_b) = load_scored(first), load_scored(second)
    problems = differences(a, b) or _item_differences(items_a, items_b)
    if problems:
        raise DocumentError(
            "the two results cannot be compared",
            where=f"{first} and {second}",
            problems=problems,
            todo="score both submissions on the same data set with the same version of xmbench",
        )
    paired: dict[str, tuple[Counted, Counted]] = {}
    unpaired: dict[str, str] = {}
    for name in dict.fromkeys((*a.scores, *b.scores)):
        if name not in a.scores or name not in b.scores:
            unpaired[name] = f"not paired: only {'A' if name in a.scores else 'B'} has it"
            continue
        found = [_column(name, r.scores[name], t) for r, t in ((a, items_a), (b, items_b))]
        if isinstance(found[0], str) or isinstance(found[1], str):
            unpaired[name] = next(reason for reason in found if isinstance(reason, str))
        else:
            paired[name] = found[0], found[1]
    groups = [str(group) for group in items_a.column("group").to_pylist()]
    draws = _draws(paired, groups, RESAMPLES, SEED) if paired else {}
    scores = tuple(_paired(name, a, b, paired[name], draws[name], groups) for name in paired)
    return Comparison(a.track, a.primary, a.submission.system, b.submission.system, scores, unpaired)


def differences(a: Result, b: Result) -> list[str]:
    """Why two results cannot be compared; empty if they can."""
    fields = ("track", "split", "dataset_digest", "protocol", "bootstrap")
    problems = [
        f"{field}: {getattr(a, field)} and {getattr(b, field)}"
        for field in fields
        if getattr(a, field) != getattr(b, field)
    ]
    drawn = {"resamples": RESAMPLES, "seed": SEED}
    if any(a.bootstrap.get(key) != value for key, value in drawn.items()):
        problems.append(f"bootstrap: {a.bootstrap}, but this version of xmbench draws {drawn}")
    problems += [
        f"{name}: metric version {a.scores[name].metric_version} and {b.scores[name].metric_version}"
        for name in a.scores
        if name in b.scores and a.scores[name].metric_version != b.scores[name].metric_version
    ]
    for which, one, other in (("judge", a.judge, b.judge), ("second judge", a.second_judge, b.second_judge)):
        if one and other and one.sha256 != other.sha256:
            problems.append(f"{which}: sha256 {one.sha256} and {other.sha256}")
    return problems


def _item_differences(a: pa.Table, b: pa.Table) -> list[str]:
    return [
        f"per-item tables: the column '{name}' differs"
        for name in ("id", "label", "group")
        if not a.column(name).equals(b.column(name))
    ]


def _column(name: str, score: Score, items: pa.Table) -> Counted | str:
    """The per-item values of a score, or why it has none."""
    if score.floor is None:
        return _DISTRIBUTION
    if score.value is None:
        return "not paired: nothing could be measured"
    found = column(items, name, score)
    return found if found is not None and found.makes_up(score.value) else _OTHER_TABLE


def _draws(
    paired: dict[str, tuple[Counted, Counted]], groups: list[str], resamples: int, seed: int
) -> dict[str, NDArray[np.float64]]:
    """A - B in every resample, by metric; identical resamples for both systems and all metrics."""
    both = [own for pair in paired.values() for own in pair]
    values, counts = (np.stack(part, axis=1) for part in zip(*((c.values, c.counts) for c in both), strict=True))
    stacked = resampled_means(values, counts, groups, resamples, seed)
    return {name: stacked[:, 2 * i] - stacked[:, 2 * i + 1] for i, name in enumerate(paired)}


def _paired(
    name: str, a: Result, b: Result, pair: tuple[Counted, Counted], draws: NDArray[np.float64], groups: list[str]
) -> PairedScore:
    score_a, score_b = a.scores[name], b.scores[name]
    assert score_a.value is not None  # _column gives no values otherwise
    assert score_b.value is not None
    low, high = ends(draws)
    both = pair[0].counts & pair[1].counts
    better = 1.0 if score_a.higher_is_better else -1.0
    gains = better * (pair[0].values - pair[1].values)[both]
    known = draws[~np.isnan(draws)]
    clusters = len({group for group, counted in zip(groups, both, strict=True) if counted})
    verdict = _verdict(min(better * low, better * high), max(better * low, better * high), clusters)
    size = f"{len(gains):,} items in {clusters:,} group{'s' if clusters != 1 else ''}"
    shown = f"[{low:.4f}, {high:.4f}]"
    difference = score_a.value - score_b.value
    sentence = f"{name}: {verdict} (A - B = {difference:.4f} {shown}; {size})"
    if clusters < FEW_GROUPS:
        sentence += "; with so few groups the interval itself is rough"
    return PairedScore(
        metric=name,
        a=score_a.value,
        b=score_b.value,
        difference=difference,
        low=low,
        high=high,
        a_wins=float((better * known > EQUAL).mean()),
        wins=int((gains > EQUAL).sum()),
        ties=int((np.abs(gains) <= EQUAL).sum()),
        losses=int((gains < -EQUAL).sum()),
        n=len(gains),
        groups=clusters,
        verdict=verdict,
        sentence=sentence,
    )


def _verdict(low: float, high: float, clusters: int) -> Verdict:
    """The verdict from the interval of A's gain."""
    if not separates(low, high, clusters):
        return "the data cannot separate them"
    return "A is better" if low > 0.0 else "B is better"
