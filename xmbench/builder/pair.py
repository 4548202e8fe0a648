"""Chooses the take of an item: by a seeded hash of its id, among the takes of its class for its split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from xmbench.builder.split import seeded_hash
from xmbench.formats.layout import SPLITS

Pools = Mapping[tuple[str, int], tuple[str, ...]]


def pools(takes: Iterable[tuple[str, str, int]]) -> dict[tuple[str, int], tuple[str, ...]]:
    """Keys of the takes of each (split, label), sorted.

    Args:
        takes: (key, split, label) of each take; split "any" serves every split.
    """
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    for key, split, label in takes:
        for name in SPLITS if split == "any" else (split,):
            found[name, label].append(key)
    return {place: tuple(sorted(keys)) for place, keys in found.items()}


def choose(item_id: str, split: str, label: int, takes: Pools, seed: int) -> str | None:
    """The key of the take of an item; None where its class has none in its split."""
    pool = takes.get((split, label), ())
    return pool[seeded_hash(seed, "pair", item_id) % len(pool)] if pool else None
