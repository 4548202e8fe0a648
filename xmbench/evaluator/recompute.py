"""Scores and intervals again from a per-item table alone: no outputs, no judge, no data set.

The value of a metric that scores all items together cannot come from values of single items, unless it is their mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import get_args

import numpy as np
import pyarrow as pa

from xmbench import registry
from xmbench.errors import UnknownNameError
from xmbench.evaluator.clusters import Side
from xmbench.evaluator.scores import metric_scores
from xmbench.evaluator.set_metrics import Finished
from xmbench.formats.result import Result, Score
from xmbench.interfaces import ItemState, Metric, Status, WholeSet
from xmbench.statistics import one_thread

_CLOSE = 1e-9  # another processor may take sums in another order
_MEASURED = ("value", "low", "high")


def disagreements(result: Result, items: pa.Table) -> list[str]:
    """Everything in the scores of a result that its per-item table does not give, one sentence each.

    Args:
        result: with the scores.
        items: its table, with the columns that `xmbench score` writes.
    """
    found = []
    for name, score in result.scores.items():
        try:
            metric = registry.metric(name)
        except UnknownNameError:
            found.append(f"{name}: no such metric is installed, so that its score cannot be recomputed")
            continue
        wrong = _not_a_column(metric, items)
        found += [f"{name}: {problem}" for problem in wrong or _differences(metric, score, items)]
    return found


def _differences(metric: Metric, score: Score, items: pa.Table) -> Iterator[str]:
    if metric.version != score.metric_version:
        yield f"scored with version {score.metric_version!r} of the metric, this is {metric.version!r}"
        return
    again = recomputed(metric, items)
    if again is None:
        counts = _counts(metric.name, items)
        for field, value in counts.items():
            if getattr(score, field) != value:
                yield f"{field} {getattr(score, field)}, but its per-item table gives {value}"
        return
    for field in Score.model_fields:
        claimed, value = getattr(score, field), getattr(again, field)
        if not (_close(claimed, value) if field in _MEASURED else claimed == value):
            yield f"{field} {claimed}, but its per-item table gives {value}"


def _close(a: float | None, b: float | None) -> bool:
    return a == b if a is None or b is None else abs(a - b) <= _CLOSE * max(1.0, abs(b))


def _not_a_column(metric: Metric, items: pa.Table) -> list[str]:
    """Why a column of the table cannot hold values of a metric."""
    name = metric.name
    if name not in items.column_names or f"{name}:status" not in items.column_names:
        return ["its per-item table has no such column"]
    values, statuses = (items.column(column).to_pylist() for column in (name, f"{name}:status"))
    found = [f"no such status: {status!r}" for status in sorted({*map(str, statuses)} - {*get_args(Status)})]
    known = [value for value in values if value is not None]
    if any(not math.isfinite(value) for value in known):
        found.append("values that are not finite numbers")
    elif not isinstance(metric, WholeSet) and any(not _within(metric, value) for value in known):
        found.append(f"values outside its bounds {metric.low}..{metric.high}")
    if not isinstance(metric, WholeSet):
        odd = sum((value is None) == (status == "ok") for value, status in zip(values, statuses, strict=True))
        found += [f"{odd} items with a value and a status that contradict each other"] if odd else []
    return found


def _within(metric: Metric, value: float) -> bool:
    return metric.low - _CLOSE <= value <= metric.high + _CLOSE


def _states(name: str, items: pa.Table) -> list[ItemState]:
    values, statuses = (items.column(column).to_pylist() for column in (name, f"{name}:status"))
    return [
        ItemState(status, np.array([0.0 if value is None else value]) if status == "ok" else None)
        for value, status in zip(values, statuses, strict=True)
    ]


def _counts(name: str, items: pa.Table) -> dict[str, object]:
    statuses = [str(status) for status in items.column(f"{name}:status").to_pylist()]
    return {
        "n": len(statuses),
        "coverage": statuses.count("ok") / max(1, len(statuses)),
        "statuses": {status: statuses.count(status) for status in sorted(set(statuses))},
    }


def recomputed(metric: Metric, items: pa.Table) -> Score | None:
    """The score that a per-item table gives; None if the metric needs more of an item than its value."""
    states, whole = _states(metric.name, items), {}
    if isinstance(metric, WholeSet):
        values = items.column(metric.name)
        if metric.floor is None or values.null_count:
            return None
        whole = {
            metric.name: Finished(
                values.to_numpy().astype(np.float64)[:, None], metric.centred, np.ones(len(values), dtype=np.bool_)
            )
        }
    groups: dict[Side, list[str]] = {
        side: [str(group) for group in items.column(f"{side}_group").to_pylist()] for side in get_args(Side)
    }
    try:
        with one_thread():
            return metric_scores({metric.name: states}, groups, whole)[metric.name]
    except IndexError:  # `reduce` asks for a second number of each item
        return None
