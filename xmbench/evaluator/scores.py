"""Every metric over all items: value, interval, coverage, statuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xmbench import registry
from xmbench.evaluator.set_metrics import Finished, centred_interval
from xmbench.formats.result import Score
from xmbench.interfaces import ItemState, Metric
from xmbench.statistics import Counted, counted, intervals


def metric_scores(
    columns: Mapping[str, list[ItemState]], groups: Sequence[str], whole: Mapping[str, Finished]
) -> dict[str, Score]:
    """The score of each metric; metrics over the same items share the resamples of their intervals.

    Args:
        columns: metric -> state of each of the N items.
        groups: N group names.
        whole: the tables of the metrics that look at all items together.
    """
    metrics = {name: registry.metric(name) for name in columns}
    tables: dict[str, NDArray[np.float64]] = {}
    same_items: dict[tuple[bool, ...], list[str]] = {}
    for name, items in columns.items():
        own = _counted(metrics[name], items, whole.get(name))
        kept = tuple(own.counts.tolist())
        if any(kept):
            tables[name] = own.values[own.counts]
        if any(kept) and not (name in whole and whole[name].centred):
            same_items.setdefault(kept, []).append(name)
    ends: dict[str, tuple[float, float]] = {}
    for kept, names in same_items.items():
        members = [group for group, keep in zip(groups, kept, strict=True) if keep]
        ends.update(zip(names, intervals([(metrics[n].reduce, tables[n]) for n in names], members), strict=True))
    for name, done in whole.items():
        if done.centred:
            ends[name] = centred_interval(metrics[name], done, _value(metrics[name], done.table), groups)
    return {
        name: _score(metrics[name], items, tables.get(name), ends.get(name), name in whole)
        for name, items in columns.items()
    }


def _counted(metric: Metric, items: list[ItemState], whole: Finished | None) -> Counted:
    """States (N, D) with the floor where an item failed, and which of them enter the mean."""
    measured = np.array([whole is not None or item.state is not None for item in items], dtype=np.bool_)
    if whole is not None:
        states = whole.table
    else:
        width = next((len(item.state) for item in items if item.state is not None), 1)
        states = np.zeros((len(items), width))
        states[measured] = [item.state for item in items if item.state is not None] or 0.0
    return counted(states, measured, [item.status for item in items], metric.floor, metric.left_out)


def _score(
    metric: Metric,
    items: list[ItemState],
    table: NDArray[np.float64] | None,
    ends: tuple[float, float] | None,
    whole_set: bool,
) -> Score:
    """One metric over all items; without a value if no item counts."""
    value = None if table is None else _value(metric, table)
    low, high = ends or (None, None)
    statuses = [str(item.status) for item in items]
    return Score(
        value=value,
        low=low,
        high=high,
        n=len(items),
        coverage=sum(item.state is not None for item in items) / max(1, len(items)),
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        floor=metric.floor,
        metric_version=metric.version,
        statuses={name: statuses.count(name) for name in sorted(set(statuses))},
        left_out=tuple(sorted(metric.left_out)),
        whole_set=whole_set,
    )


def _value(metric: Metric, table: NDArray[np.float64]) -> float:
    """The score of all items, each counted once."""
    return float(metric.reduce(table, np.ones((1, len(table))))[0])
