"""Metrics of all items together (distributions): every item takes part, with an output or without one.

For an item without a usable output the metric gets the neutral output (silence, a black image) with the item's own
reference, and a flag that it was not usable. No item is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from xmbench import registry
from xmbench.errors import CheckError
from xmbench.evaluator.decode import neutral_output
from xmbench.evaluator.item_records import ItemRecords, reference_of
from xmbench.evaluator.measure import prepare
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import pick_rows
from xmbench.formats.recipe import TrackSpec
from xmbench.interfaces import SIDES, ItemState, Metric, Pair, ScoringContext, WholeSet

BATCH = 64  # neutral outputs that are measured in one call


@dataclass(frozen=True, slots=True)
class Finished:
    """One metric over all items: its table (N, D') for `reduce`, and whether its intervals are centred."""

    table: NDArray[np.float64]
    centred: bool


def of_whole_sets(names: Iterable[str]) -> tuple[str, ...]:
    """The metrics among these that are measured on all items together."""
    return tuple(name for name in names if isinstance(registry.metric(name), WholeSet))


def finished(
    columns: Mapping[str, list[ItemState]],
    records: ItemRecords,
    dataset: Dataset,
    track: TrackSpec,
    context: ScoringContext,
) -> dict[str, Finished]:
    """The tables of the metrics of all items together.

    Raises:
        CheckError: such a metric could not measure an item.
        DatasetError: a reference cannot be read.
    """
    names = of_whole_sets(columns)
    absent = sorted({i for name in names for i, item in enumerate(columns[name]) if item.state is None})
    neutral_states = _neutral_states(names, absent, records, dataset, track, context)
    found = {}
    for name in names:
        items = columns[name]
        usable = np.array([item.state is not None for item in items])
        states = [neutral_states[name, i] if item.state is None else item.state for i, item in enumerate(items)]
        whole = cast(WholeSet, registry.metric(name))
        found[name] = Finished(whole.finish(np.stack(states), usable), whole.centred)
    return found


def _neutral_states(
    names: tuple[str, ...],
    absent: Sequence[int],
    records: ItemRecords,
    dataset: Dataset,
    track: TrackSpec,
    context: ScoringContext,
) -> dict[tuple[str, int], NDArray[np.float64]]:
    """(metric, position) -> state of the neutral output with the item's own reference."""
    neutral = neutral_output(dataset.recipe.task, track.direction)
    column = SIDES[track.direction].output
    found: dict[tuple[str, int], NDArray[np.float64]] = {}
    for start in range(0, len(absent), BATCH):
        part = absent[start : start + BATCH]
        rows = pick_rows(dataset, track.split, [records.ids[i] for i in part], [column])
        pairs = [
            Pair(records.ids[i], records.labels[i], neutral, reference_of(rows[records.ids[i]], dataset)) for i in part
        ]
        for name in names:
            for i, state in zip(part, prepare(name, pairs, context), strict=True):
                if state.state is None:
                    raise CheckError(f"{name} cannot measure the reference of '{records.ids[i]}'", where=state.detail)
                found[name, i] = state.state
    return found


def item_values(metric: Metric, done: Finished) -> list[float | None]:
    """Each item's own value for the per-item table; None if the metric has no values of single items."""
    return [None if metric.floor is None else float(value) for value in done.table[:, 0]]
