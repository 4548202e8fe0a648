"""Divides rows among files. Pure functions of the planned items: a later failure moves no other row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xmbench.builder import split
from xmbench.formats.layout import SPLITS
from xmbench.interfaces import Entry

SHARD_BYTES = 500_000_000  # of pixels and samples
SHARD_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Item:
    """One planned row: its id, its split, the entry that it is read from, the key of its take."""

    id: str
    split: str
    label: int
    entry: Entry
    take: str


@dataclass(frozen=True, slots=True)
class Shard:
    """One file to write: its items in the order of their ids."""

    name: str
    split: str
    items: tuple[Item, ...]


def by_id(items: Iterable[Item], planned: Mapping[str, Sequence[Entry]], row_bytes: int) -> tuple[Shard, ...]:
    """Runs of the sorted ids, cut by bytes; a group (a video, a piece) is kept in one shard where that is possible.

    Args:
        items: those that have a take.
        planned: every entry of each split, also those without a take: only they decide where a shard ends.
        row_bytes: of a row's pixels and samples.
    """
    places = {item.id: item for item in items}
    made = []
    for name in SPLITS:
        runs = _runs(sorted(planned[name], key=lambda entry: entry.key), row_bytes)
        for i, run in enumerate(runs):
            found = tuple(places[entry.key] for entry in run if entry.key in places)
            made.append(Shard(_name(name, i, len(runs)), name, found))
    return tuple(made)


def by_hash(items: Iterable[Item], planned: Mapping[str, Sequence[Entry]]) -> tuple[Shard, ...]:
    """The older layout, for sets that have it: items by the hash of their ids."""
    made = []
    chosen = list(items)
    for name in SPLITS:
        count = -(-len(planned[name]) // SHARD_ROWS)
        parts: list[list[Item]] = [[] for _ in range(count)]
        for item in chosen:
            if item.split == name:
                parts[split.seeded_hash(0, "shard", item.id) % count].append(item)
        for i, part in enumerate(parts):
            made.append(Shard(_name(name, i, count), name, tuple(sorted(part, key=lambda item: item.id))))
    return tuple(made)


def _runs(entries: Sequence[Entry], row_bytes: int) -> list[Sequence[Entry]]:
    """Runs of about equal length, within the limits; one ends with a group if that leaves it at least half as long."""
    limit = max(1, min(SHARD_ROWS, SHARD_BYTES // row_bytes))
    count = -(-len(entries) // limit)
    wanted = -(-len(entries) // max(1, count))
    runs, start = [], 0
    while start < len(entries):
        end = min(start + wanted, len(entries))
        ends = range(end, start + (wanted - 1) // 2, -1) if end < len(entries) else ()
        end = next((i for i in ends if entries[i].group != entries[i - 1].group), end)
        runs.append(entries[start:end])
        start = end
    return runs


def _name(split_name: str, number: int, count: int) -> str:
    return f"{split_name}-{number:05d}-of-{count:05d}.parquet"
