"""Checks that a result can be an evaluator's: fields that must agree with each other, bounds, digests.

`xmbench verify` recomputes every number; these checks need only the documents, so they run over all boards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import pyarrow as pa

from xmbench import registry
from xmbench.errors import UnknownNameError
from xmbench.formats.recipe import Recipe, TrackSpec
from xmbench.formats.result import Result, Score
from xmbench.interfaces import Metric, WholeSet, judges_of
from xmbench.leaderboard.board import installed_track
from xmbench.leaderboard.entries import board_key, entries
from xmbench.printable import shown

_CLOSE = 1e-9


def problems(result: Result, *, metrics: bool = True) -> list[str]:
    """Every contradiction in a result.

    Args:
        result: as loaded.
        metrics: also compare with the metrics themselves (bounds, floors): imports them, which takes seconds if one
            needs a network.

    Returns:
        One sentence each; empty if nothing is wrong.
    """
    found = _identity(result)
    known = {name: _metric(name) if metrics else None for name in result.scores}
    for name, score in result.scores.items():
        found += [f"{name}: {problem}" for problem in _score(score, known[name])]
    if len({score.n for score in result.scores.values()}) > 1:
        found.append("scores: the metrics have different numbers of items")
    judged = [name for name, metric in known.items() if metric is not None and judges_of(metric)]
    return found + _judge(result, judged)


def foreign(result: Result, items: pa.Table) -> list[str]:
    """Columns of a per-item table that `xmbench score` does not write for this track."""
    known = {"id", "label", "class", "group", "condition_group", "reference_group", "take"}
    known |= {"output_sha256", "status", "detail"}
    known |= {text for name in result.track_spec.metrics for text in (name, f"{name}:status")}
    found = [name for name in items.column_names if name not in known]
    return [f"its per-item table has the unknown column(s) {', '.join(map(shown, found))}"] if found else []


def _identity(result: Result) -> list[str]:
    found = [
        f"{name}: {getattr(result, name)!r}, but its submission says {getattr(result.submission, name)!r}"
        for name in ("track", "dataset_digest")
        if getattr(result, name) != getattr(result.submission, name)
    ]
    found += _own_track(result)
    score = result.scores.get(result.primary)
    if score is None or score.value is None:
        found.append(f"the primary metric {result.primary} has no value")
    if (result.status == "verified") != (result.verified is not None) or result.status == "reported":
        found.append(f"status {result.status!r} {'with' if result.verified else 'without'} a record of a verification")
    return found


def _own_track(result: Result) -> list[str]:
    """Whether the track in a result agrees with its other fields and with its scores."""
    own = result.track_spec
    found = [
        f"{name}: {there!r}, but its own track says {kept!r}"
        for name, there, kept in (
            ("track", result.track.partition("/")[2], own.direction),
            ("split", result.split, own.split),
            ("primary", result.primary, own.primary),
            ("track_digest", result.track_digest, own.track_digest(result.versions)),
        )
        if there != kept
    ]
    found += [f"no score of {name}" for name in own.metrics if name not in result.scores]
    return found + [f"{name} is not a metric of its track" for name in result.scores if name not in own.metrics]


def _score(score: Score, metric: Metric | None) -> list[str]:
    found = []
    if sum(score.statuses.values()) != score.n:
        found.append(f"its statuses count {sum(score.statuses.values())} items of {score.n}")
    if abs(score.coverage - score.statuses.get("ok", 0) / max(1, score.n)) > _CLOSE:
        found.append(f"coverage {score.coverage} with {score.statuses.get('ok', 0)} of {score.n} items measured")
    if metric is None:
        return found
    # A mean is within its percentile interval; all resamples of a distribution may be on one side of its value.
    is_mean = score.floor is not None and not score.whole_set
    if is_mean and None not in (score.value, score.low, score.high):
        low, value, high = float(score.low or 0), float(score.value or 0), float(score.high or 0)
        if not low - _CLOSE <= value <= high + _CLOSE:
            found.append(f"{value} is not within its own interval [{low}, {high}]")
    if metric.version == score.metric_version:
        found += [f"{name} {has}, but the metric has {own}" for name, has, own in _facts(score, metric) if has != own]
    beyond = [v for v in (score.value, score.low, score.high) if v is not None]
    if any(not metric.low - _CLOSE <= v <= metric.high + _CLOSE for v in beyond):
        found.append(f"{score.value} [{score.low}, {score.high}] is outside its bounds {metric.low}..{metric.high}")
    return found


def _facts(score: Score, metric: Metric) -> Iterator[tuple[str, object, object]]:
    """Each fact of the metric as the score has it, and as the metric has it."""
    for name in ("floor", "higher_is_better", "unit"):
        yield name, getattr(score, name), getattr(metric, name)
    yield "left_out", sorted(score.left_out), sorted(metric.left_out)
    yield "whole_set", score.whole_set, isinstance(metric, WholeSet)


def _judge(result: Result, judged: Sequence[str]) -> list[str]:
    if result.judge is None:
        return [f"{', '.join(judged)} without a judge"] if judged else []
    cards = (("judge", result.judge), ("second judge", result.second_judge))
    local = [f"local {what} ({card.name})" for what, card in cards if card is not None and card.local]
    if local:
        return [f"scored with a {' and a '.join(local)}: such results are never ranked with others"]
    if any(card is not None and card.device != "cpu" for _, card in cards):
        return ["judged on another device than the CPU, which defines the scores"]
    return _other_judges(result, result.track_spec, "its own track")


def _other_judges(result: Result, track: TrackSpec, whose: str) -> list[str]:
    pairs = (("judge", track.judge, result.judge), ("second judge", track.second_judge, result.second_judge))
    return [
        f"{what} {found.sha256[:12] if found else 'none'}, but {whose} names {wanted.sha256[:12]}"
        for what, wanted, found in pairs
        if wanted is not None and (found is None or found.sha256 != wanted.sha256)
    ]


def outdated(result: Result, recipe: Recipe | None) -> list[str]:
    """What a result lacks of the installed recipe's track: it may stay on its board, but cannot be added again."""
    track = installed_track(result, recipe)
    if track is None:
        return []
    found = [] if result.judge is None or result.judge.local else _other_judges(result, track, "the recipe")
    added = [name for name in track.metrics if name not in result.track_spec.metrics]
    found += [f"no score of {name}, which the recipe now has" for name in added]
    if track.primary != result.primary:
        found.append(f"primary metric {result.primary}, but the recipe says {track.primary}")
    invented = [name for name in result.track_spec.metrics if name not in track.metrics]
    found += [f"{name} is not a metric of the recipe's track" for name in invented]
    own = result.track_spec
    if not (invented or added) and (own.metrics, own.gates) != (track.metrics, track.gates):
        found.append("its track has other gates, or its metrics in another order, than the recipe's")
    return found


def _metric(name: str) -> Metric | None:
    try:
        return registry.metric(name)
    except UnknownNameError:
        return None


def duplicates(results: Sequence[Result]) -> list[str]:
    """Systems or seeds on one board with exactly the same outputs; lower and upper bounds may coincide."""
    grouped: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for entry in entries(results):
        for run in entry.runs if entry.result.submission.kind == "learned" else ():
            seed = f" (seed {run.submission.seed})" if len(entry.runs) > 1 else ""
            grouped[(*board_key(run), run.outputs_digest)].append(f"{run.submission.system}{seed}")
    return [
        f"{key[0]}: the same outputs under {len(who)} names: {', '.join(who)}"
        for key, who in grouped.items()
        if len(who) > 1
    ]
