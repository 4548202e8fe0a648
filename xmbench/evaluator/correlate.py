"""Results and ratings of the same outputs: which metric goes with what people hear or see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xmbench.errors import DocumentError
from xmbench.evaluator.correlation import Correlation, Name, Values, alpha, over_items, over_systems
from xmbench.evaluator.save import load_scored
from xmbench.formats.item_scores import column
from xmbench.formats.ratings import Rating, Scale, read_ratings
from xmbench.formats.result import Result
from xmbench.printable import shown

SCHEMA = "xmbench/correlation/1"
_NO_ITEMS = "not estimable: items have no values of their own"


@dataclass(frozen=True, slots=True)
class MetricCorrelation:
    """One metric against the ratings of one aspect; the sign is that of the metric as it is."""

    metric: str
    higher_is_better: bool
    by_system: dict[Name, Correlation]
    by_item: dict[Name, Correlation]


@dataclass(frozen=True, slots=True)
class AspectCorrelation:
    """One aspect.

    Attributes:
        aspect: "" where only one thing was rated.
        raters, ratings, items: how many; an item counts once for each system.
        alpha: Krippendorff's alpha of the raters, interval metric; None where it cannot be estimated.
        means: each system's mean rating: the mean over its items of the mean over raters.
        missing: of each system, the items that were rated for another system and not for it.
        metrics: in the order of the results.
    """

    aspect: str
    raters: int
    ratings: int
    items: int
    alpha: float | None
    means: dict[str, float]
    missing: dict[str, tuple[str, ...]]
    metrics: tuple[MetricCorrelation, ...]


@dataclass(frozen=True, slots=True)
class Correlations:
    """All aspects, and what was read."""

    track: str
    systems: tuple[str, ...]
    scale: str
    aspects: tuple[AspectCorrelation, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"schema": SCHEMA, **asdict(self)}


@dataclass(frozen=True, slots=True)
class _System:
    """A result with its table; `rows` gives the row of an id."""

    name: str
    result: Result
    items: pa.Table
    rows: Mapping[str, int]


def correlate(results: Sequence[Path], ratings: Path, scale: Scale) -> Correlations:
    """Correlates every metric of some results with human ratings of their outputs.

    Args:
        results: with their per-item tables; one track and data set.
        ratings: directory of CSV files (`xmbench.formats.ratings`).
        scale: what a rater could give.

    Raises:
        DocumentError: not a result, results of different data, or ratings with problems: every one is listed.
        DatasetError: a per-item table is missing, damaged, or belongs to another result.
    """
    systems = [_system(path) for path in results]
    _require_one_track(systems)
    known, problems = read_ratings(ratings, scale)
    matched, unmatched = _matched(known, systems)
    if problems := [*problems, *unmatched]:
        raise DocumentError(
            "the ratings have problems",
            where=ratings,
            problems=problems,
            todo="fix these lines, or name the results that they are about; nothing was computed",
        )
    if not matched:
        raise DocumentError("no rating here", where=ratings, expected="one rating on each line below the header")
    aspects: dict[str, list[tuple[int, Rating]]] = defaultdict(list)
    for found in matched:
        aspects[found[1].aspect].append(found)
    return Correlations(
        systems[0].result.track,
        tuple(system.name for system in systems),
        str(scale),
        tuple(_aspect(name, own, systems) for name, own in sorted(aspects.items())),
    )


def _system(path: Path) -> _System:
    result, items = load_scored(path)
    ids = [str(item) for item in items.column("id").to_pylist()]
    return _System(result.submission.system, result, items, {item: row for row, item in enumerate(ids)})


def _require_one_track(systems: Sequence[_System]) -> None:
    first, problems = systems[0].result, []
    for system in systems[1:]:
        for field in ("track", "split", "dataset_digest", "protocol"):
            here, there = getattr(system.result, field), getattr(first, field)
            problems += [f"{shown(system.name)}: {field} {here}, but the first result has {there}"] * (here != there)
    digests = [system.result.outputs_digest for system in systems]
    problems += [f"{digest}: the same outputs in two results" for digest in {*digests} if digests.count(digest) > 1]
    if problems:
        raise DocumentError(
            "these results cannot be taken together",
            where=", ".join(system.name for system in systems)[:200],
            problems=problems,
            todo="name results of different systems on one track of one data set",
        )


def _matched(ratings: Sequence[Rating], systems: Sequence[_System]) -> tuple[list[tuple[int, Rating]], list[str]]:
    """Each rating with the position of its system; and those that name none, or an id that it has not."""
    places: dict[tuple[bool, str], list[int]] = defaultdict(list)
    for place, system in enumerate(systems):
        places[False, system.name].append(place)
        places[True, system.result.outputs_digest].append(place)
    found, problems = [], []
    for rating in ratings:
        own = places.get((rating.by_digest, rating.system), [])
        if not own:
            problems.append(f"{rating.where}: no result of the system '{shown(rating.system)}'")
        elif len(own) > 1:
            problems.append(
                f"{rating.where}: {len(own)} results of '{shown(rating.system)}'; name it by outputs_digest"
            )
        elif rating.id not in systems[own[0]].rows:
            problems.append(f"{rating.where}: the per-item table has no id '{shown(rating.id)}'")
        else:
            found.append((own[0], rating))
    seen: dict[tuple[int, str, str, str], str] = {}
    for place, rating in found:  # one system by its name and by its digest
        key = (place, rating.rater, rating.id, rating.aspect)
        if key in seen:
            problems.append(f"{rating.where}: the same rater has rated this already in {seen[key]}")
        seen.setdefault(key, rating.where)
    return found, problems


def _aspect(name: str, ratings: Sequence[tuple[int, Rating]], systems: Sequence[_System]) -> AspectCorrelation:
    units = sorted({(place, rating.id) for place, rating in ratings})
    raters = sorted({rating.rater for _, rating in ratings})
    columns, rows = ({key: i for i, key in enumerate(keys)} for keys in (units, raters))
    table = np.full((len(raters), len(units)), np.nan)
    for place, rating in ratings:
        table[rows[rating.rater], columns[place, rating.id]] = rating.score
    rated = np.nanmean(table, axis=0)
    own = [[column for column, (place, _) in enumerate(units) if place == which] for which in range(len(systems))]
    means = {which: float(rated[found].mean()) for which, found in enumerate(own) if found}
    every = {item for _, item in units}
    missing = {
        _title(which, systems): tuple(sorted(every - {units[column][1] for column in found}))
        for which, found in enumerate(own)
    }
    metrics = dict.fromkeys(metric for system in systems for metric in system.result.scores)
    return AspectCorrelation(
        aspect=name,
        raters=len(raters),
        ratings=len(ratings),
        items=len(units),
        alpha=alpha(table),
        means={_title(which, systems): mean for which, mean in means.items()},
        missing={system: items for system, items in missing.items() if items},
        metrics=tuple(_metric(metric, systems, means, units, table) for metric in metrics),
    )


def _title(which: int, systems: Sequence[_System]) -> str:
    """A system's name; with the digest of its outputs where two results have the name."""
    name = systems[which].name
    same = sum(system.name == name for system in systems) > 1
    return f"{name} ({systems[which].result.outputs_digest[:12]})" if same else name


def _metric(
    metric: str, systems: Sequence[_System], means: Mapping[int, float], units: Sequence[tuple[int, str]], table: Values
) -> MetricCorrelation:
    scores = {
        which: system.result.scores[metric] for which, system in enumerate(systems) if metric in system.result.scores
    }
    pairs = [(float(scores[which].value or 0), mean) for which, mean in means.items() if _has(scores.get(which))]
    by_system = over_systems(*(np.array([pair[side] for pair in pairs]) for side in (0, 1)))
    found: list[tuple[int, float, str]] = []
    for which, score in scores.items():
        values = None if score.whole_set else column(systems[which].items, metric, score)
        if values is None:
            continue
        for position, (place, item) in enumerate(units):
            row = systems[which].rows[item]
            if place == which and values.counts[row]:
                found.append((position, float(values.values[row]), item))
    own = table[:, [position for position, _, _ in found]]
    by_item = over_items(np.array([value for _, value, _ in found]), own, [item for _, _, item in found])
    if not found:
        by_item = {key: Correlation(None, None, None, None, 0, _NO_ITEMS) for key in by_item}
    better = next(iter(scores.values())).higher_is_better
    return MetricCorrelation(metric, better, by_system, by_item)


def _has(score: Any) -> bool:
    return score is not None and score.value is not None
