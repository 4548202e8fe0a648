"""Metrics of all items together (distributions): every item takes part, with an output or without one.

For an item without a usable output the metric gets the neutral output (silence, a black image) with the item's own
reference, and a flag that it was not usable. No item is left out for its output; a metric that compares references of
other recordings leaves out those that have nothing to be compared with.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xmbench import registry
from xmbench.errors import CheckError
from xmbench.evaluator.clusters import groups_of_sides
from xmbench.evaluator.decode import neutral_output
from xmbench.evaluator.item_records import ItemRecords, reference_of
from xmbench.evaluator.measure import prepare
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import pick_rows
from xmbench.formats.recipe import TrackSpec
from xmbench.formats.tables import read_schema
from xmbench.interfaces import SIDES, ByOrigin, ItemState, Metric, Origins, Pair, ScoringContext, WholeSet

BATCH = 64  # neutral outputs that are measured in one call
_START = "start_s"  # column of data sets that consist of windows


@dataclass(frozen=True, slots=True)
class Finished:
    """One metric over all items.

    Attributes:
        table: (N, D'), for `reduce`.
        centred: whether its intervals are.
        covered: (N,): False for items whose reference the metric does not cover, whatever their output.
    """

    table: NDArray[np.float64]
    centred: bool
    covered: NDArray[np.bool_]


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
    origins = functools.cache(lambda: _origins(records, dataset, track))
    neutral_states = _neutral_states(names, absent, records, dataset, track, context)
    found = {}
    for name in names:
        items = columns[name]
        usable = np.array([item.state is not None for item in items])
        states = [neutral_states[name, i] if item.state is None else item.state for i, item in enumerate(items)]
        found[name] = _finished(registry.metric(name), np.stack(states), usable, origins)
    return found


def with_coverage(columns: Mapping[str, list[ItemState]], whole: Mapping[str, Finished]) -> dict[str, list[ItemState]]:
    """The states of each metric's items, without those whose reference it does not cover."""
    found = dict(columns)
    for name, done in whole.items():
        beyond = ItemState("reference-unscorable", None, "no other reference of its class to compare it with")
        found[name] = [item if covers else beyond for item, covers in zip(columns[name], done.covered, strict=True)]
    return found


def _finished(
    metric: Metric, states: NDArray[np.float64], usable: NDArray[np.bool_], origins: Callable[[], Origins]
) -> Finished:
    whole = cast(WholeSet, metric)
    if isinstance(metric, ByOrigin):
        table, covered = metric.finish_by_origin(states, usable, origins())
        return Finished(table, whole.centred, covered)
    return Finished(whole.finish(states, usable), whole.centred, np.ones(len(states), dtype=np.bool_))


def _origins(records: ItemRecords, dataset: Dataset, track: TrackSpec) -> Origins:
    """The recording of each reference, and where it begins in it if the data set has that column."""
    recipe = dataset.recipe
    groups = groups_of_sides(recipe, track.direction, records.ids, records.groups)["reference"]
    starts = np.full(len(records.ids), np.nan)
    paths = dataset.shards(track.split)
    schema = read_schema(paths[0]) if paths else pa.schema([])
    if _START in schema.names and pa.types.is_floating(schema.field(_START).type):
        known = dataset.table(track.split, [_START]).column(_START).to_pylist()
        starts = np.array([np.nan if start is None else float(start) for start in known])
    return Origins(tuple(groups), starts, recipe.audio.samples / recipe.audio.sample_rate_hz)


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
    """Each item's own value for the per-item table; None where it is not covered, or if single items have no values."""
    has_values = done.covered & (metric.floor is not None)
    return [float(value) if has else None for value, has in zip(done.table[:, 0], has_values, strict=True)]
