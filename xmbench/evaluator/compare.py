"""Two results on the same items: the paired difference, how sure it is, and whether the data can separate them.

Nothing is measured again: both per-item tables are read. The interval is that of the items' differences, over the
groups of what the metric depends on. All metrics are tested at once, so the verdicts use p-values that are adjusted for
their number (Holm, 1979); the printed interval is that of the metric alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from xmbench.errors import DocumentError
from xmbench.evaluator.save import load_scored
from xmbench.formats.item_scores import clusters, column
from xmbench.formats.result import Result, Score
from xmbench.statistics import (
    EQUAL,
    FEW_GROUPS,
    LEVEL,
    RESAMPLES,
    SEED,
    Counted,
    Difference,
    holm,
    members,
    of_difference,
)

_DISTRIBUTION = "not paired: a distribution has no per-item values"
_OTHER_TABLE = "not paired: the per-item values do not give this score"

Verdict = Literal["A is better", "B is better", "the data cannot separate them", "cannot be estimated"]


@dataclass(frozen=True, slots=True)
class PairedScore:
    """One metric of both systems.

    Attributes:
        a, b: the scores as the results state them.
        difference: a - b.
        low, high: 95 % interval of the difference; None where there are too few groups.
        p: two-sided p-value, adjusted for the number of metrics that are compared; None where there are too few groups.
        smallest_difference: a smaller one decides nothing.
        wins, ties, losses: items on which A is better, equal or worse; a failed item counts the metric's floor.
        n: items that count for both.
        groups: clusters among them, of the side that the metric depends on.
        sentence: the verdict as text, with n and groups.
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    p: float | None
    smallest_difference: float
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
        both = [_column(name, r.scores[name], t) for r, t in ((a, items_a), (b, items_b))]
        if isinstance(both[0], str) or isinstance(both[1], str):
            unpaired[name] = next(reason for reason in both if isinstance(reason, str))
        else:
            paired[name] = both[0], both[1]
    found = {name: _difference(*pair, clusters(items_a, a.scores[name])) for name, pair in paired.items()}
    adjusted = dict(zip(found, holm([difference.p for difference in found.values()]), strict=True))
    scores = tuple(_paired(name, a, b, paired[name], found[name], adjusted[name]) for name in paired)
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
        for name in ("id", "label", "group", "condition_group", "reference_group")
        if (name in a.column_names) != (name in b.column_names)
        or (name in a.column_names and not a.column(name).equals(b.column(name)))
    ]


def _column(name: str, score: Score, items: pa.Table) -> Counted | str:
    """The per-item values of a score, or why it has none."""
    if score.floor is None:
        return _DISTRIBUTION
    if score.value is None:
        return "not paired: nothing could be measured"
    found = column(items, name, score)
    return found if found is not None and found.makes_up(score.value) else _OTHER_TABLE


def _difference(a: Counted, b: Counted, groups: list[str]) -> Difference:
    """A - B over the items that count for both."""
    both = a.counts & b.counts
    if not both.any():
        return Difference(float("nan"), None, None, 1.0, 0)
    member = members(np.asarray(groups, dtype=object)[both])
    return of_difference([a.values[both]], [b.values[both]], member)


def _paired(
    name: str, a: Result, b: Result, pair: tuple[Counted, Counted], found: Difference, adjusted: float
) -> PairedScore:
    score_a, score_b = a.scores[name], b.scores[name]
    assert score_a.value is not None  # _column gives no values otherwise
    assert score_b.value is not None
    both = pair[0].counts & pair[1].counts
    better = 1.0 if score_a.higher_is_better else -1.0
    gains = better * (pair[0].values - pair[1].values)[both]
    difference = score_a.value - score_b.value
    smallest = max(score_a.smallest_difference, score_b.smallest_difference)
    verdict = _verdict(found, better * difference, adjusted, smallest)
    shown = "" if found.low is None else f" [{found.low:.4f}, {found.high:.4f}]"
    size = f"{len(gains):,} items in {found.groups:,} group{'s' if found.groups != 1 else ''}"
    sentence = f"{name}: {verdict} (A - B = {difference:.4f}{shown}; {size})"
    if found.low is None:
        sentence += f"; an interval needs {FEW_GROUPS} groups"
    elif adjusted <= 1.0 - LEVEL and abs(difference) < smallest:
        sentence += f"; a difference below {smallest:g} does not count"
    return PairedScore(
        metric=name,
        a=score_a.value,
        b=score_b.value,
        difference=difference,
        low=found.low,
        high=found.high,
        p=None if found.low is None else adjusted,
        smallest_difference=smallest,
        wins=int((gains > EQUAL).sum()),
        ties=int((np.abs(gains) <= EQUAL).sum()),
        losses=int((gains < -EQUAL).sum()),
        n=len(gains),
        groups=found.groups,
        verdict=verdict,
        sentence=sentence,
    )


def _verdict(found: Difference, gain: float, adjusted: float, smallest: float) -> Verdict:
    """The verdict from A's gain, in the direction of the metric."""
    if found.low is None:
        return "cannot be estimated"
    if adjusted > 1.0 - LEVEL or abs(gain) < smallest:
        return "the data cannot separate them"
    return "A is better" if gain > 0.0 else "B is better"
