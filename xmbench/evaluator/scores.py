"""Every metric over all items: value, interval, coverage, statuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xmbench import registry
from xmbench.evaluator.clusters import Side, side_of
from xmbench.evaluator.set_metrics import Finished
from xmbench.formats.result import Score
from xmbench.interfaces import ItemState, Metric, smallest_difference
from xmbench.statistics import Counted, Interval, counted, members, of_mean, of_reduction


def metric_scores(
    columns: Mapping[str, list[ItemState]], groups: Mapping[Side, Sequence[str]], whole: Mapping[str, Finished]
) -> dict[str, Score]:
    """The score of each metric.

    Args:
        columns: metric -> state of each of the N items.
        groups: N group names of the conditions, and of the references.
        whole: the tables of the metrics that look at all items together.
    """
    return {name: _score(registry.metric(name), items, groups, whole.get(name)) for name, items in columns.items()}


def _counted(metric: Metric, items: list[ItemState], whole: Finished | None) -> Counted:
    """States (N, D) with the floor where an item failed, and which of them enter the mean."""
    measured = np.array([item.state is not None for item in items], dtype=np.bool_)
    if whole is not None:
        states, measured = whole.table, whole.covered
    else:
        width = next((len(item.state) for item in items if item.state is not None), 1)
        states = np.zeros((len(items), width))
        states[measured] = [item.state for item in items if item.state is not None] or 0.0
    return counted(states, measured, [item.status for item in items], metric.floor, metric.left_out)


def _score(
    metric: Metric, items: list[ItemState], groups: Mapping[Side, Sequence[str]], whole: Finished | None
) -> Score:
    """One metric over all items; without a value if no item counts."""
    own = _counted(metric, items, whole)
    table = own.values[own.counts]
    counting: dict[Side, list[str]] = {
        side: [name for name, counts in zip(names, own.counts, strict=True) if counts] for side, names in groups.items()
    }
    side = side_of(metric, counting)
    found = _interval(metric, table, counting[side], whole) if len(table) else Interval.none(0)
    statuses = [str(item.status) for item in items]
    return Score(
        value=_value(metric, table) if len(table) else None,
        low=found.low,
        high=found.high,
        n=len(items),
        coverage=sum(item.state is not None for item in items) / max(1, len(items)),
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        floor=metric.floor,
        metric_version=metric.version,
        statuses={name: statuses.count(name) for name in sorted(set(statuses))},
        left_out=tuple(sorted(metric.left_out)),
        whole_set=whole is not None,
        depends_on=side,
        groups=found.groups,
        method=found.method,
        smallest_difference=smallest_difference(metric),
    )


def _interval(metric: Metric, table: NDArray[np.float64], groups: Sequence[str], whole: Finished | None) -> Interval:
    """Of the states (N, D) of the items that count."""
    if metric.floor is not None and _is_mean(metric, table):
        return of_mean([table[:, 0]], members(groups), low=metric.low, high=metric.high)
    centred = whole is not None and whole.centred
    return of_reduction(metric.reduce, table, groups, centred=centred, low=metric.low, high=metric.high)


def _is_mean(metric: Metric, table: NDArray[np.float64]) -> bool:
    """Whether a score is the mean of its items' own values, found by trying: a plug-in may reduce in any way."""
    order = np.arange(len(table))
    weights = np.stack([np.ones(len(table)), 1.0 + order % 3, 1.0 + order * order % 7])
    means = weights @ table[:, 0] / weights.sum(axis=1)
    return bool(np.allclose(metric.reduce(table, weights), means, rtol=1e-9, atol=1e-12))


def _value(metric: Metric, table: NDArray[np.float64]) -> float:
    """The score of all items, each counted once."""
    return float(metric.reduce(table, np.ones((1, len(table))))[0])
