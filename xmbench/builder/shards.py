"""Which rows stand in which file. Pure functions of the planned items: what fails later moves no other row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xmbench.builder import split
from xmbench.formats.layout import SPLITS
from xmbench.interfaces import Entry

SHARD_BYTES = 500_000_000  # of pixels and samples
SHARD_ROWS = 16_384
_STRETCH = 1.25  # how much longer a shard may get so that a group ends in it


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
    """The layout of the first stage, for sets that have it: items by the hash of their ids."""
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
    """Runs of about equal length, each within the limits but for the stretch to the end of a group."""
    limit = max(1, min(SHARD_ROWS, SHARD_BYTES // row_bytes))
    if not entries:
        return []
    wanted = -(-len(entries) // -(-len(entries) // limit))
    longest = max(wanted, int(wanted * _STRETCH))
    runs, start = [], 0
    for i in range(1, len(entries) + 1):
        length = i - start
        ends = i == len(entries) or (length >= wanted and entries[i].group != entries[i - 1].group)
        if ends or length == longest:
            runs.append(entries[start:i])
            start = i
    return runs


def _name(split_name: str, number: int, count: int) -> str:
    return f"{split_name}-{number:05d}-of-{count:05d}.parquet"
