"""Assigns items to splits, and chooses the items of a limited build. Pure functions of ids and a seed."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from xmbench.errors import DocumentError
from xmbench.formats.layout import SPLITS
from xmbench.formats.limit import Limit, SplitLimits, by_split, limit_argument, limit_of
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


SpeakerOf = Callable[[str, Entry], str]


def chosen(
    splits: Mapping[str, Sequence[Entry]], limit: Limit, seed: int, speaker_of: SpeakerOf | None = None
) -> dict[str, list[Entry]]:
    """The entries of each split that a limited build has, in the order given.

    Args:
        splits: entries of each split.
        limit: one number for every split, stratified by class, or one for each named split, stratified by class and
            within a class by speaker.
        seed: of the choice.
        speaker_of: of a split and an entry; "" where no speaker is known.
    """
    speakers = speaker_of if isinstance(limit, SplitLimits) else None
    return {name: limited(found, limit_of(limit, name), seed, name, speakers) for name, found in splits.items()}


def check_limit(sizes: Mapping[str, int], limit: Limit) -> None:
    """Raises DocumentError where a split was limited by name to more items than it has."""
    if not isinstance(limit, SplitLimits):
        return  # one number for all splits: a smaller split is complete
    problems = [
        f"{name}: {number:,} wanted, {sizes[name]:,} there"
        for name, number in by_split(limit).items()
        if name in sizes and number > sizes[name]
    ]
    if problems:
        raise DocumentError(
            "the limit is more than there is",
            where=f"--limit {limit_argument(limit)}",
            problems=problems,
            todo="give a smaller number, or leave the split out: then it is complete",
        )


def limited(
    entries: Sequence[Entry], limit: int | None, seed: int, split: str, speaker_of: SpeakerOf | None = None
) -> list[Entry]:
    """At most `limit` entries, each class within one item of its share; in the order given.

    With `speaker_of`, each speaker of a class is within one item of the share in that class as well. A smaller limit
    gives a subset of a larger one.
    """
    if limit is None or limit >= len(entries):
        return list(entries)
    purpose = f"limit-{split}"
    if speaker_of is None:
        order = _even_order({entry.key: entry.label for entry in entries}, seed, purpose)
    else:
        order = _even_speakers({entry.key: (entry.label, speaker_of(split, entry)) for entry in entries}, seed, purpose)
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
    return [name for _, name in _interleaved(map(sorted, members.values()))]


def _even_speakers(strata: Mapping[str, tuple[int, str]], seed: int, purpose: str) -> list[str]:
    """As `_even_order` by class, and the prefix of each class has each of its speakers within one item of its share."""
    classes: dict[int, dict[str, list[tuple[int, str]]]] = defaultdict(lambda: defaultdict(list))
    for name, (label, speaker) in strata.items():
        classes[label][speaker].append((seeded_hash(seed, purpose, name), name))
    parts = [_interleaved(map(sorted, speakers.values())) for speakers in classes.values()]
    return [name for _, name in _interleaved(parts)]


def _interleaved(parts: Iterable[Sequence[tuple[int, str]]]) -> list[tuple[int, str]]:
    """Ordered parts merged so that every prefix has each part within one item of its share."""
    places = [((rank + 0.5) / len(part), number, name) for part in parts for rank, (number, name) in enumerate(part)]
    return [(number, name) for _, number, name in sorted(places)]
