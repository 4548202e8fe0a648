"""What a build will do, before it does any of it: the items, their splits, their takes, their shards."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from pydantic import BaseModel

from xmbench import content, registry
from xmbench.builder import pair, split, takes
from xmbench.builder.takes import Earlier, Prepared, Take
from xmbench.builder.upstream.fetch import VerifiedFiles
from xmbench.errors import DocumentError
from xmbench.execution.progress import Progress
from xmbench.formats.dataset import SourceRecord
from xmbench.formats.document import ID_PATTERN, load_toml, parse
from xmbench.formats.layout import SPLITS
from xmbench.formats.ledger import LedgerRow
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import Entry, Modality, Rejected, Source, Spoken

SHARD_ROWS = 16_384
LAYOUT = "xmbench/build/1"  # changes whenever the same plan would write other rows


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for. Two builds of one request write the same data set."""

    recipe: Recipe
    limit: int | None
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
        """What a folder must have been built from to be finished by this request."""
        return {
            "recipe": self.recipe.name,
            "data digest": self.recipe.data_digest,
            "limit": "none" if self.limit is None else str(self.limit),
            "seed": str(self.pairing_seed),
            "speech": self.speech or "as the recipe says",
        }


@dataclass(frozen=True, slots=True)
class Item:
    """One planned row: its id, its split, the entry of its image, the key of its take."""

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


@dataclass(frozen=True)
class Plan:
    """Everything that a build writes, decided.

    Attributes:
        request: what was asked for.
        images: reader of the images, with its checked options and its files.
        takes: the clips in use, by key.
        attributes: names of the columns that the takes bring along, sorted, the well-known ones first.
        shards: the files to write.
        planned: items of each (split, class name).
        ledger: items without a usable take, and takes that could not be used.
        sources: what each source is on this build.
    """

    request: Request
    images: Reader
    takes: Mapping[str, Take]
    attributes: tuple[str, ...]
    shards: tuple[Shard, ...]
    planned: Mapping[tuple[str, str], int]
    ledger: tuple[LedgerRow, ...]
    sources: Mapping[str, SourceRecord]

    @cached_property
    def identity(self) -> dict[str, str]:
        """The request's identity with the sources' files and versions, and the layout."""
        shaped_by = {"layout": f"{LAYOUT}, {len(self.shards)} shards", **self.request.identity()}
        for role, record in self.sources.items():
            shaped_by |= {f"{role}: {name}": digest for name, digest in record.files.items()}
            shaped_by |= {f"{role}: {name}": version for name, version in record.versions.items()}
        return shaped_by

    @cached_property
    def digest(self) -> str:
        """sha256 of the identity."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()

    def shard_digest(self, shard: Shard) -> str:
        """sha256 of the plan's identity, a shard's items and their clips: another file is not taken up.

        Clips play a part because one that failed in an earlier try, or that an engine never speaks the same
        way twice, may be another one now.
        """
        total = hashlib.sha256(self.digest.encode())
        for key in sorted({item.take for item in shard.items}):
            total.update(f"{key} ".encode() + hashlib.sha256(self.takes[key].samples.tobytes()).digest())
        for item in shard.items:
            total.update(f"{item.id} {item.take}\n".encode())
        return total.hexdigest()


@dataclass(frozen=True, slots=True)
class Reader:
    """One source of the recipe, ready to read."""

    source: Source
    options: BaseModel
    files: VerifiedFiles

    @property
    def repeatable(self) -> bool:
        """Whether it yields the same content every time."""
        return not isinstance(self.source, Spoken) or self.source.engine(self.options).facts.repeatable


def load_recipe(name: str) -> Recipe:
    """The recipe of a name or of a path to a TOML file.

    Raises:
        UnknownNameError: there is none; the nearest name is offered.
        DocumentError: it does not fit the schema.
    """
    return load_toml(content.find("recipes", name), Recipe)


def check(recipe: Recipe) -> None:
    """Checks what the schema cannot: readers that exist, their options, what they yield.

    Raises:
        UnknownNameError: an unknown reader.
        DocumentError: options that a reader does not take, or a reader in the wrong place.
    """
    _reader(recipe, recipe.pairing.images, "image", None)
    _reader(recipe, recipe.pairing.clips, "audio", None)


def make(
    request: Request,
    files: Mapping[str, VerifiedFiles],
    progress: Progress,
    earlier: Earlier | None = None,
    offline: bool = False,
) -> Plan:
    """Decides every row. The same request, files and versions always give the same plan.

    Args:
        request: what was asked for.
        files: of each source.
        progress: called with lines of progress.
        earlier: clips, and decisions against some, of an earlier build into the same folder.
        offline: ask no online speech engine.
    """
    recipe = request.recipe
    images = _reader(recipe, recipe.pairing.images, "image", files)
    clips = _reader(recipe, recipe.pairing.clips, "audio", files)
    entries = _checked(images.source.entries(images.files, images.options, recipe.task), recipe)
    spec = recipe.sources[recipe.pairing.clips]
    prepared = takes.prepare(clips.source, spec, clips.files, clips.options, recipe.task, progress, earlier, offline)
    splits = split.assign(entries, recipe.splits, request.split_seed)
    chosen = {name: split.limited(found, request.limit, request.split_seed, name) for name, found in splits.items()}
    items, rows = _paired(chosen, prepared, request)
    names = recipe.classes.names
    counted = Counter((name, names[entry.label]) for name, found in chosen.items() for entry in found)
    used = {item.take for item in items}
    return Plan(
        request=request,
        images=images,
        takes={key: take for key, take in prepared.takes.items() if key in used},
        attributes=_columns(prepared.takes.values()),
        shards=_shards(items, {name: len(found) for name, found in chosen.items()}),
        planned={(name, label): counted[name, label] for name in SPLITS for label in names},
        ledger=(*rows, *_rejected_takes(prepared, names)),
        sources=_records(recipe, files, {recipe.pairing.images: images, recipe.pairing.clips: clips}),
    )


def _reader(recipe: Recipe, role: str, modality: Modality, files: Mapping[str, VerifiedFiles] | None) -> Reader:
    spec = recipe.sources[role]
    source = registry.source(spec.reader)
    if source.modality != modality:
        raise DocumentError(
            f"the reader '{spec.reader}' yields {source.modality}",
            where=f"{recipe.name}: sources.{role}",
            expected=modality,
        )
    options = parse(spec.options, source.Options, f"{recipe.name}: sources.{role}.options")
    return Reader(source, options, files[role] if files else VerifiedFiles(spec.title))


def _checked(entries: Iterable[Entry], recipe: Recipe) -> list[Entry]:
    """The entries, each with an id that can be one."""
    found = list(entries)
    if not found:
        raise DocumentError(
            "the image source offers no item",
            where=f"{recipe.name}: sources.{recipe.pairing.images}",
            expected="files with at least one item",
            todo="look at its options and at the files that it reads",
        )
    counted = Counter(entry.key for entry in found)
    problems = [f"'{key}' {number} times" for key, number in counted.items() if number > 1]
    problems += [f"'{key}' does not match {ID_PATTERN}" for key in counted if not re.match(ID_PATTERN, key)]
    if problems:
        raise DocumentError("the image source gives ids that cannot be used", where=recipe.name, problems=problems)
    return found


def _paired(
    chosen: Mapping[str, list[Entry]], prepared: Prepared, request: Request
) -> tuple[list[Item], list[LedgerRow]]:
    """Items with a take, and ledger rows for those without.

    A take that a rule left out is no choice; one that failed still is, so that a later build, in which it
    does not fail, pairs all other items as before.
    """
    kept = [
        (key, entry.split, entry.label)
        for key, entry in prepared.entries.items()
        if key in prepared.takes or not prepared.rejected[key].filtered
    ]
    pools = pair.pools(kept)
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


def _columns(found: Iterable[Take]) -> tuple[str, ...]:
    first = ("text", "speaker", "engine")
    names = {name for take in found for name in take.attributes}
    return (*(name for name in first if name in names), *sorted(names - set(first)))


def _shards(items: list[Item], planned: Mapping[str, int]) -> tuple[Shard, ...]:
    """Items by the hash of their ids; how many shards depends on the planned items only."""
    shards = []
    for name in SPLITS:
        count = -(-planned[name] // SHARD_ROWS)
        parts: list[list[Item]] = [[] for _ in range(count)]
        for item in items:
            if item.split == name:
                parts[split.seeded_hash(0, "shard", item.id) % count].append(item)
        for i, part in enumerate(parts):
            part.sort(key=lambda item: item.id)
            shards.append(Shard(f"{name}-{i:05d}-of-{count:05d}.parquet", name, tuple(part)))
    return tuple(shards)


def _records(
    recipe: Recipe, files: Mapping[str, VerifiedFiles], readers: Mapping[str, Reader]
) -> dict[str, SourceRecord]:
    return {
        role: SourceRecord(
            files=files[role].found,
            changed=files[role].changed,
            versions=readers[role].source.versions(readers[role].options) if role in readers else {},
            repeatable=not isinstance(reader := readers.get(role), Reader) or reader.repeatable,
            licence=source.licence,
            redistributable=source.redistributable,
        )
        for role, source in recipe.sources.items()
    }
