"""What raters say of each system: means with intervals, agreement, and how far each rater agrees with himself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.evaluator.rater_files import Rater, Raters
from xmbench.formats.rating_kit import HIGHEST, LOWEST, RatingKey
from xmbench.statistics import crossed_mean, of_crossed, ordinal_alpha

SCHEMA = "xmbench/rating-summary/1"
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassMean:
    """A system's mean rating within a class."""

    mean: float
    items: int


@dataclass(frozen=True, slots=True)
class SystemRating:
    """What is said of one system.

    Attributes:
        name: unique: with the digest of its outputs where two systems have one name.
        outputs_digest: None for the ground truth.
        mean: over items of the mean over raters, 0..3; an output that could not be shown counts 0.
        low, high: 95 % interval over items (by group) and, from three raters on, over raters; None where there are
            fewer than five groups.
        items: that enter the mean.
        ratings: scores given, without those of second showings.
        shares: of these, the share of each score 0, 1, 2, 3.
        failed: outputs that could not be shown.
        classes: in the order of the key's sets.
    """

    name: str
    outputs_digest: str | None
    mean: float
    low: float | None
    high: float | None
    items: int
    ratings: int
    shares: tuple[float, ...]
    failed: int
    classes: dict[str, ClassMean]


@dataclass(frozen=True, slots=True)
class Gap:
    """One system minus another over the same items and raters."""

    first: str
    second: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Consistency:
    """Two scores by one rater of one output.

    Attributes:
        pairs: outputs that were scored twice.
        same: share with the same score.
        near: share that differs by one at most.
        difference: mean of the absolute differences.
    """

    pairs: int
    same: float
    near: float
    difference: float


@dataclass(frozen=True, slots=True)
class RaterSummary:
    """One rater: scores given at first showings, their mean, whether every screen is scored."""

    rater: str
    ratings: int
    mean: float
    finished: bool
    consistency: Consistency | None


@dataclass(frozen=True, slots=True)
class RatingSummary:
    """Everything that the raters' files give.

    Attributes:
        alpha: agreement of the raters on all outputs (Krippendorff's alpha, ordinal); None if not estimable.
        alpha_generated: the same without the ground truth, which is easy to agree on.
        groups: of items that vary together.
        consistency: of all raters together; None where nothing was scored twice.
    """

    track: str
    dataset_digest: str
    page: str
    meanings: tuple[str, ...]
    items: int
    groups: int
    raters: tuple[RaterSummary, ...]
    excluded: tuple[str, ...]
    systems: tuple[SystemRating, ...]
    gaps: tuple[Gap, ...]
    alpha: float | None
    alpha_generated: float | None
    consistency: Consistency | None
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"schema": SCHEMA, **asdict(self)}


def summarise(key: RatingKey, raters: Raters) -> RatingSummary:
    """Computes the summary of checked files (`read_raters`)."""
    names, groups = titles(key), [one.group for one in key.sets]
    given = [_scores(key, [rater.first for rater in raters.kept], which) for which in range(len(names))]
    counted = [_with_failed(table, key, which) for which, table in enumerate(given)]
    kept = [which for which, table in enumerate(counted) if np.isfinite(table).any()]
    systems = tuple(_system(key, names, which, given[which], counted[which]) for which in kept)
    gaps = []
    for place, first in enumerate(kept):
        for second in kept[place + 1 :]:
            both = counted[first] - counted[second]
            if np.isfinite(both).any():
                span = float(HIGHEST - LOWEST)
                found = of_crossed(both, groups, low=-span, high=span)
                gaps.append(Gap(names[first], names[second], crossed_mean(both), found.low, found.high))
    pairs = [_pairs(rater) for rater in raters.kept]
    return RatingSummary(
        track=key.track,
        dataset_digest=key.dataset_digest,
        page=key.page,
        meanings=key.meanings,
        items=len(key.sets),
        groups=len(set(groups)),
        raters=tuple(_rater(rater, own) for rater, own in zip(raters.kept, pairs, strict=True)),
        excluded=raters.excluded,
        systems=systems,
        gaps=tuple(gaps),
        alpha=ordinal_alpha(np.concatenate(given, axis=1)),
        alpha_generated=ordinal_alpha(np.concatenate(given[:-1], axis=1)),
        consistency=_consistency(pair for own in pairs for pair in own),
        warnings=raters.warnings,
    )


def titles(key: RatingKey) -> list[str]:
    """The systems' names, with the digest of the outputs where two have the same."""
    names = [system.name for system in key.systems]
    return [
        f"{system.name} ({system.outputs_digest[:12]})"
        if system.outputs_digest and names.count(system.name) > 1
        else system.name
        for system in key.systems
    ]


def rows(key: RatingKey, kept: Sequence[Rater]) -> list[dict[str, str]]:
    """Every score of a submission at its first showing, as `xmbench correlate` reads them (`formats.ratings`)."""
    found = []
    for rater in kept:
        first = rater.first
        for one in key.sets:
            for output, which in one.outputs.items():
                system = key.systems[which]
                if output in first and system.outputs_digest:
                    found.append(
                        {
                            "rater": rater.name,
                            "system": system.name,
                            "outputs_digest": system.outputs_digest,
                            "id": one.item,
                            "score": str(first[output]),
                        }
                    )
    return found


def _scores(key: RatingKey, given: Sequence[Mapping[str, int]], which: int) -> Values:
    """Scores of a system's outputs: (R, N), NaN where a rater gave none."""
    table = np.full((len(given), len(key.sets)), np.nan)
    for place, one in enumerate(key.sets):
        output = next((name for name, system in one.outputs.items() if system == which), None)
        for row, scores in enumerate(given):
            if output is not None and output in scores:
                table[row, place] = scores[output]
    return table


def _with_failed(table: Values, key: RatingKey, which: int) -> Values:
    """The same with the lowest score from everybody where there was nothing to show."""
    failed = np.array([which in one.failed for one in key.sets])
    return np.where(failed[None], float(LOWEST), table)


def _system(key: RatingKey, names: Sequence[str], which: int, given: Values, counted: Values) -> SystemRating:
    interval = of_crossed(counted, [one.group for one in key.sets], low=LOWEST, high=HIGHEST)
    scores = given[np.isfinite(given)]
    rated = np.isfinite(counted).any(axis=0)
    classes = {}
    for name in dict.fromkeys(sorted(one.class_ for one in key.sets)):
        mine = np.array([one.class_ == name for one in key.sets]) & rated
        if mine.any():
            classes[name] = ClassMean(crossed_mean(counted[:, mine]), int(mine.sum()))
    return SystemRating(
        name=names[which],
        outputs_digest=key.systems[which].outputs_digest,
        mean=crossed_mean(counted),
        low=interval.low,
        high=interval.high,
        items=int(rated.sum()),
        ratings=len(scores),
        shares=tuple(float(np.mean(scores == score)) if len(scores) else 0.0 for score in range(LOWEST, HIGHEST + 1)),
        failed=sum(which in one.failed for one in key.sets),
        classes=classes,
    )


def _rater(rater: Rater, pairs: Sequence[tuple[int, int]]) -> RaterSummary:
    scores = list(rater.first.values())
    complete = all(score is not None for showing in rater.document.showings for score in showing.scores)
    return RaterSummary(rater.name, len(scores), float(np.mean(scores)), complete, _consistency(pairs))


def _pairs(rater: Rater) -> list[tuple[int, int]]:
    """First and second score of each output that has both."""
    first, second = rater.first, rater.second
    return [(first[output], score) for output, score in second.items() if output in first]


def _consistency(pairs: Iterable[tuple[int, int]]) -> Consistency | None:
    away = [abs(first - second) for first, second in pairs]
    if not away:
        return None
    count = len(away)
    return Consistency(count, away.count(0) / count, sum(one <= 1 for one in away) / count, sum(away) / count)
