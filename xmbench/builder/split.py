"""Assigns items to splits, and chooses the items of a limited build. Pure functions of ids and a seed."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from xmbench.errors import DocumentError
from xmbench.formats.layout import SPLITS
from xmbench.formats.recipe import SplitSpec
from xmbench.interfaces import Entry


def seeded_hash(seed: int, purpose: str, name: str) -> int:
    """A number in 0..2^64-1 that depends only on its arguments."""
    return int.from_bytes(hashlib.sha256(f"{purpose}\0{seed}\0{name}".encode()).digest()[:8], "big")


def assign(entries: Sequence[Entry], spec: SplitSpec, seed: int) -> dict[str, list[Entry]]:
    """Entries of each split, in the order given.

    `published` follows the source. `stratified` gives ceil(test_fraction * N) items to the test split, as
    evenly over the classes as undivided groups allow.

    Raises:
        DocumentError: `published`, and an entry has no published split.
    """
    if spec.method == "stratified":
        tested = _stratified_test(entries, spec.test_fraction, seed)
        chosen = {entry.key: "test" if entry.group in tested else "train" for entry in entries}
    else:
        chosen = {entry.key: entry.split for entry in entries}
    splits: dict[str, list[Entry]] = {name: [] for name in SPLITS}
    for entry in entries:
        if chosen[entry.key] not in splits:
            raise DocumentError(
                f"the source publishes no split for '{entry.key}'",
                where="splits.method",
                expected='method = "stratified"',
            )
        splits[chosen[entry.key]].append(entry)
    return splits


def limited(entries: Sequence[Entry], limit: int | None, seed: int, split: str) -> list[Entry]:
    """At most `limit` entries, each class within one item of its share; in the order given.

    A smaller limit gives a subset of a larger one.
    """
    if limit is None or limit >= len(entries):
        return list(entries)
    order = _even_order({entry.key: entry.label for entry in entries}, seed, f"limit-{split}")
    kept = set(order[:limit])
    return [entry for entry in entries if entry.key in kept]


def _stratified_test(entries: Sequence[Entry], fraction: float, seed: int) -> set[str]:
    """Groups that make up the test split."""
    sizes = Counter(entry.group for entry in entries)
    labels: dict[str, Counter[int]] = defaultdict(Counter)
    for entry in entries:
        labels[entry.group][entry.label] += 1
    strata = {group: min(counts, key=lambda k: (-counts[k], k)) for group, counts in labels.items()}
    wanted = math.ceil(fraction * len(entries))
    tested: set[str] = set()
    for group in _even_order(strata, seed, "split"):
        if wanted <= 0:
            break
        tested.add(group)
        wanted -= sizes[group]
    return tested


def _even_order(strata: Mapping[str, int], seed: int, purpose: str) -> list[str]:
    """Names in a seeded order in which every prefix has each stratum within one item of its share."""
    members: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for name, stratum in strata.items():
        members[stratum].append((seeded_hash(seed, purpose, name), name))
    places = []
    for group in members.values():
        for rank, (number, name) in enumerate(sorted(group)):
            places.append(((rank + 0.5) / len(group), number, name))
    return [name for _, _, name in sorted(places)]
