"""What a build will write, decided before: the items, their splits, takes and shards."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xmbench import content
from xmbench.builder import pair, readers, shards, split, takes
from xmbench.builder.readers import Reader
from xmbench.builder.shards import Item, Shard
from xmbench.builder.takes import Earlier, Prepared, Take
from xmbench.builder.upstream.fetch import VerifiedFiles
from xmbench.errors import DocumentError
from xmbench.execution.progress import Progress
from xmbench.formats.columns import FIXED, row_bytes
from xmbench.formats.dataset import SourceRecord
from xmbench.formats.document import ID_PATTERN, load_toml
from xmbench.formats.layout import HASHED_LAYOUT, SORTED_LAYOUT, SPLITS
from xmbench.formats.ledger import LedgerRow
from xmbench.formats.limit import Limit, limit_name
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import Attribute, Attributed, AttributeTypes, Compared, Entry, Rejected


@dataclass(frozen=True, slots=True)
class Request:
    """The user's request. Two builds of one request write the same data set."""

    recipe: Recipe
    limit: Limit
    seed: int | None
    speech: str = ""  # the engine of --speech, where that changed the recipe

    @property
    def pairing_seed(self) -> int:
        """Seed of the pairing: the one given, else the recipe's."""
        return self.recipe.pairing.seed if self.seed is None else self.seed

    @property
    def split_seed(self) -> int:
        """Seed of splits and limits: the one given, else the recipe's."""
        return self.recipe.splits.seed if self.seed is None else self.seed

    def identity(self) -> dict[str, str]:
        """What identifies a build: a directory of another identity is not resumed."""
        return {
            "recipe": self.recipe.name,
            "data digest": self.recipe.data_digest,
            "limit": limit_name(self.limit),
            "seed": str(self.pairing_seed),
            "speech": self.speech or "as the recipe says",
        }


@dataclass(frozen=True)
class Plan:
    """Everything that a build writes, decided.

    Attributes:
        request: the user's request.
        reader: of the items (images, or images with their clips), with its checked options and its files.
        takes: the clips in use, by key; none for joint items, which are their own takes.
        attributes: name and type of the columns that the sources add, sorted, the well-known ones first.
        shards: the files to write.
        layout: how rows are divided among them (`formats.layout`).
        planned: items of each (split, class name).
        ledger: items without a usable take, and takes that could not be used.
        sources: the record of each source in this build.
    """

    request: Request
    reader: Reader
    takes: Mapping[str, Take]
    attributes: AttributeTypes
    shards: tuple[Shard, ...]
    layout: str
    planned: Mapping[tuple[str, str], int]
    ledger: tuple[LedgerRow, ...]
    sources: Mapping[str, SourceRecord]

    @cached_property
    def identity(self) -> dict[str, str]:
        """The request's identity with the sources' files and versions, and the layout."""
        shaped_by = {"layout": f"{self.layout}, {len(self.shards)} shards", **self.request.identity()}
        for role, record in self.sources.items():
            shaped_by |= {f"{role}: {name}": digest for name, digest in record.files.items()}
            shaped_by |= {f"{role}: {name}": version for name, version in record.versions.items()}
        return shaped_by

    @cached_property
    def digest(self) -> str:
        """sha256 of the identity."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()

    def takes_of(self, shard: Shard) -> dict[str, Take]:
        """The takes that a shard's items need."""
        return {item.take: self.takes[item.take] for item in shard.items if item.take in self.takes}

    def shard_digest(self, shard: Shard) -> str:
        """sha256 of the plan's identity, a shard's items and their clips: only such a file is kept.

        Clips are included because one that failed in an earlier try, or one of an engine that is not
        repeatable, may have changed.
        """
        total = hashlib.sha256(self.digest.encode())
        for key, take in sorted(self.takes_of(shard).items()):
            total.update(f"{key} {take.digest.hex()} {take.duration_s}\n".encode())
        for item in shard.items:
            total.update(f"{item.id} {item.take}\n".encode())
        return total.hexdigest()


def load_recipe(name: str) -> Recipe:
    """The recipe of a name or of a path to a TOML file.

    Raises:
        UnknownNameError: unknown recipe; the nearest name is offered.
        DocumentError: it does not fit the schema.
    """
    return load_toml(content.find("recipes", name), Recipe)


def check(recipe: Recipe) -> None:
    """Checks what the schema cannot: that readers exist, their options, what they yield.

    Raises:
        UnknownNameError: an unknown reader.
        DocumentError: options that a reader does not have, or a reader in the wrong role.
    """
    readers.of(recipe, None)


def make(
    request: Request,
    files: Mapping[str, VerifiedFiles],
    clips: Path,
    progress: Progress,
    earlier: Earlier | None = None,
    offline: bool = False,
    layout: str = SORTED_LAYOUT,
) -> Plan:
    """Decides every row. The same request, files and versions always give the same plan.

    Args:
        request: the user's request.
        files: of each source.
        clips: directory for the clips of by-class pairing, which the workers read.
        progress: called with lines of progress.
        earlier: clips and rejections of an earlier build in the same directory.
        offline: use no online speech engine.
        layout: of the shards; an older one only for a set that has it.
    """
    recipe = request.recipe
    used_readers = readers.of(recipe, files)
    reader = used_readers[recipe.pairing.item_source]
    entries = _checked(reader.source.entries(reader.files, reader.options, recipe.task), recipe)
    different = _differences(reader, entries, recipe, progress)
    splits = split.assign(entries, recipe.splits, request.split_seed)
    _check_groups(splits, recipe)
    split.check_limit({name: len(found) for name, found in splits.items()}, request.limit)
    names = recipe.classes.names
    if recipe.pairing.joint:
        prepared = Prepared({}, {}, {})
        chosen = split.chosen(splits, request.limit, request.split_seed, _own_speaker)
        items, rows = _own_takes(chosen), list[LedgerRow]()
    else:
        store = takes.Store(clips, recipe.audio)
        made = used_readers[recipe.pairing.clip_source]
        prepared = takes.prepare(made, recipe, store, progress, earlier, offline)
        pools = _pools(prepared)
        chosen = split.chosen(splits, request.limit, request.split_seed, _paired_speaker(pools, prepared, request))
        items, rows = _paired(chosen, prepared, pools, request)
    wanted = {item.take for item in items}
    return Plan(
        request=request,
        reader=reader,
        takes={key: take for key, take in prepared.takes.items() if key in wanted},
        attributes=_columns(used_readers, {recipe.pairing.item_source: entries}, prepared),
        shards=_sharded(items, chosen, recipe, layout),
        layout=layout,
        planned=_counted(chosen, names),
        ledger=(*rows, *_rejected_takes(prepared, names)),
        sources=_records(recipe, files, used_readers, {recipe.pairing.item_source: different}),
    )


def _own_takes(chosen: Mapping[str, Sequence[Entry]]) -> list[Item]:
    """Joint items: each is its own take."""
    return [Item(entry.key, name, entry.label, entry, entry.key) for name, found in chosen.items() for entry in found]


def _sharded(
    items: Sequence[Item], chosen: Mapping[str, Sequence[Entry]], recipe: Recipe, layout: str
) -> tuple[Shard, ...]:
    if layout == HASHED_LAYOUT:
        return shards.by_hash(items, chosen)
    return shards.by_id(items, chosen, row_bytes(recipe))


def _counted(chosen: Mapping[str, Sequence[Entry]], names: Sequence[str]) -> dict[tuple[str, str], int]:
    """Items of each (split, class name), zeros included."""
    counted = Counter((name, names[entry.label]) for name, found in chosen.items() for entry in found)
    return {(name, label): counted[name, label] for name in SPLITS for label in names}


def _checked(entries: Iterable[Entry], recipe: Recipe) -> list[Entry]:
    """The entries, checked to have valid ids."""
    found = list(entries)
    if not found:
        raise DocumentError(
            "the source has no items",
            where=f"{recipe.name}: sources.{recipe.pairing.item_source}",
            expected="files with at least one item",
            todo="check its options and the files that it reads",
        )
    counted = Counter(entry.key for entry in found)
    problems = [f"'{key}' {number} times" for key, number in counted.items() if number > 1]
    problems += [f"'{key}' does not match {ID_PATTERN}" for key in counted if not re.match(ID_PATTERN, key)]
    if problems:
        raise DocumentError("the source has invalid ids", where=recipe.name, problems=problems)
    return found


def _differences(reader: Reader, entries: Sequence[Entry], recipe: Recipe, progress: Progress) -> tuple[str, ...]:
    """How the items differ from the published ones, told to the user as well."""
    if not isinstance(reader.source, Compared):
        return ()
    found = reader.source.differences(entries, reader.options, recipe.task)
    for line in found:
        progress(f"{recipe.pairing.item_source}: not as published: {line}")
    return tuple(found)


def _own_speaker(_: str, entry: Entry) -> str:
    return str(entry.attributes.get("speaker", ""))


def _paired_speaker(pools: pair.Pools, prepared: Prepared, request: Request) -> split.SpeakerOf:
    """Who speaks the take of an item; known before the take is, so that one that fails moves no other item."""

    def speaker(name: str, entry: Entry) -> str:
        key = pair.choose(entry.key, name, entry.label, pools, request.pairing_seed)
        return "" if key is None else str(prepared.entries[key].attributes.get("speaker", ""))

    return speaker


def _pools(prepared: Prepared) -> pair.Pools:
    """The takes that items are paired with.

    A take that a rule left out is not eligible; one that failed is, so that a later build, in which it does not
    fail, pairs all other items as before.
    """
    kept = [
        (key, entry.split, entry.label)
        for key, entry in prepared.entries.items()
        if key in prepared.takes or not prepared.rejected[key].filtered
    ]
    return pair.pools(kept)


def _paired(
    chosen: Mapping[str, list[Entry]], prepared: Prepared, pools: pair.Pools, request: Request
) -> tuple[list[Item], list[LedgerRow]]:
    """Items with a take, and ledger rows for those without."""
    names = request.recipe.classes.names
    items, rows = [], []
    for name, entries in chosen.items():
        for entry in entries:
            key = pair.choose(entry.key, name, entry.label, pools, request.pairing_seed)
            if key is not None and key in prepared.takes:
                items.append(Item(entry.key, name, entry.label, entry, key))
                continue
            no_take = Rejected("pair", "no-take", "every clip of its class was left out by the recipe's rules")
            reason = no_take if key is None else prepared.rejected[key]
            rows.append(LedgerRow.of("item", entry.key, name, names[entry.label], reason))
    return items, rows


def _rejected_takes(prepared: Prepared, names: tuple[str, ...]) -> list[LedgerRow]:
    rejected = prepared.rejected.items()
    entries = prepared.entries
    return [LedgerRow.of("take", key, entries[key].split, names[entries[key].label], why) for key, why in rejected]


def _check_groups(splits: Mapping[str, list[Entry]], recipe: Recipe) -> None:
    """Raises DocumentError where a group of joint items is in both splits: the test would not be independent."""
    if not recipe.pairing.joint:
        return
    trained = {entry.group for entry in splits["train"]}
    shared = sorted({entry.group for entry in splits["test"]} & trained)
    if shared:
        raise DocumentError(
            f"{len(shared):,} group(s) are in both splits",
            where=f"{recipe.name}: sources.{recipe.pairing.items}",
            expected="each group (a video, a piece, a speaker) in one split",
            problems=[f"'{group}'" for group in shared],
            todo='split by group: `method = "stratified"` in [splits], or another grouping in the source\'s options',
        )


def _columns(
    found_readers: Mapping[str, Reader], items: Mapping[str, Iterable[Entry]], prepared: Prepared
) -> AttributeTypes:
    """Columns that the sources add: as declared, otherwise as found.

    Raises:
        DocumentError: two sources add the same column, or one that every data set has.
    """
    found: dict[str, type[str] | type[int] | type[float]] = {}
    for role, reader in found_readers.items():
        if isinstance(reader.source, Attributed):
            brought = dict(reader.source.attributes(reader.options))
        else:
            values = (entry.attributes for entry in items[role]) if role in items else _clip_attributes(prepared)
            brought = {name: type(value) for known in values for name, value in known.items()}
        clash = sorted(brought.keys() & {*found, *FIXED})
        if clash:
            raise DocumentError(
                f"columns that exist already: {', '.join(clash)}",
                where=f"the reader '{reader.source.name}'",
                expected="attributes of other names",
            )
        found |= brought
    first = [name for name in ("text", "speaker", "engine") if name in found]
    return {name: found[name] for name in (*first, *sorted(found.keys() - set(first)))}


def _clip_attributes(prepared: Prepared) -> Iterable[Mapping[str, Attribute]]:
    return (take.attributes for take in prepared.takes.values())


def _records(
    recipe: Recipe,
    files: Mapping[str, VerifiedFiles],
    used: Mapping[str, Reader],
    differences: Mapping[str, tuple[str, ...]],
) -> dict[str, SourceRecord]:
    return {
        role: SourceRecord(
            files=files[role].found,
            changed=files[role].changed,
            differences=differences.get(role, ()),
            versions=used[role].source.versions(used[role].options) if role in used else {},
            fetched=dict(sorted(files[role].links.fetched.items())),
            repeatable=not isinstance(reader := used.get(role), Reader) or reader.repeatable,
            licence=source.licence,
            redistributable=source.redistributable,
        )
        for role, source in recipe.sources.items()
    }
