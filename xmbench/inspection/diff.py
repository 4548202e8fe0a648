"""Two builds of a data set: which rows differ, and in what; and what differs in how they were made.

Rows are read side by side in the order of their ids, and media are decoded only where their bytes differ.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xmbench.errors import MediaError
from xmbench.execution.progress import Progress
from xmbench.formats.dataset import Dataset, Manifest
from xmbench.formats.tables import read_schema
from xmbench.media import audio, image

_SHOWN = 5
_TOLD_EVERY = 10_000
_MEDIA = ("image", "audio")
# What the rows themselves show, or what follows from them.
_DERIVED = {"schema_", "recipe_digest", "data_digest", "dataset_digest", "shards"}
Row = dict[str, Any]


@dataclass(slots=True)
class Kind:
    """Rows that differ in one thing: how many, and the first few as (id, in what)."""

    rows: int = 0
    first: list[tuple[str, str]] = field(default_factory=list)

    def add(self, item: str, detail: str) -> None:
        """Counts one row."""
        self.rows += 1
        if len(self.first) < _SHOWN:
            self.first.append((item, detail))


@dataclass(slots=True)
class Difference:
    """What differs between two data sets, A and B.

    Attributes:
        digests: of A and B.
        rows: rows of A and B, by split.
        documents: (what, in A, in B) of recipe, versions, sources, limits, counts.
        columns: (column, "A" or "B"): columns that only one of them has.
        kinds: "only in A", "only in B", "split", "label", "image", "audio", or the name of another column.
        compared: rows that both have.
        reencoded: media whose bytes differ and whose pixels or samples do not.
    """

    digests: tuple[str, str]
    rows: dict[str, tuple[int, int]] = field(default_factory=dict)
    documents: list[tuple[str, str, str]] = field(default_factory=list)
    columns: list[tuple[str, str]] = field(default_factory=list)
    kinds: dict[str, Kind] = field(default_factory=dict)
    compared: int = 0
    reencoded: int = 0

    @property
    def equal(self) -> bool:
        """Whether both have the same content: ids, labels, pixels and samples."""
        return self.digests[0] == self.digests[1]

    def add(self, kind: str, item: str, detail: str) -> None:
        """Counts one row that differs."""
        self.kinds.setdefault(kind, Kind()).add(item, detail)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "equal": self.equal,
            "digests": list(self.digests),
            "compared": self.compared,
            "rows": {split: list(pair) for split, pair in self.rows.items()},
            "documents": [{"what": what, "a": a, "b": b} for what, a, b in self.documents],
            "columns": [{"column": column, "only_in": side} for column, side in self.columns],
            "kinds": {
                name: {"rows": kind.rows, "first": [{"id": i, "detail": detail} for i, detail in kind.first]}
                for name, kind in self.kinds.items()
            },
            "reencoded": self.reencoded,
        }


def compare(a: Dataset, b: Dataset, progress: Progress = lambda line: None) -> Difference:
    """Compares two data sets row by row.

    Where the digests are equal, so are ids, labels, pixels and samples, and only the other columns are read.
    The digests are those of the manifests; `validate` checks them.

    Args:
        a: a data set.
        b: another one, of the same recipe or not.
        progress: called with lines of progress.

    Raises:
        DatasetError: a shard cannot be read.
    """
    found = Difference((a.digest, b.digest), documents=_documents(a.manifest, b.manifest))
    names = [_columns(dataset) for dataset in (a, b)]
    found.columns += [(name, "A") for name in names[0] if name not in names[1]]
    found.columns += [(name, "B") for name in names[1] if name not in names[0]]
    shared = [name for name in names[0] if name in names[1] and not (found.equal and name in _MEDIA)]
    alone: tuple[dict[str, str], dict[str, str]] = ({}, {})
    splits = list(dict.fromkeys([*a.manifest.splits, *b.manifest.splits]))
    for split in splits:
        found.rows[split] = (a.count(split), b.count(split))
        for left, right in _side_by_side(a.rows(split, shared, checked=False), b.rows(split, shared, checked=False)):
            if left is None or right is None:
                row, side = (left, 0) if left is not None else (right, 1)
                alone[side][str((row or {})["id"])] = split
                continue
            found.compared += 1
            _compare_row(left, right, (a, b), shared, found)
            if found.compared % _TOLD_EVERY == 0:
                progress(f"  {found.compared:,} rows compared")
    _unmatched(alone, found)
    return found


def _columns(dataset: Dataset) -> list[str]:
    """Columns of the rows, without the id."""
    paths = [path for split in dataset.manifest.splits for path in dataset.shards(split)]
    return [name for name in read_schema(paths[0]).names if name != "id"] if paths else []


def _side_by_side(left: Iterator[Row], right: Iterator[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """Pairs of rows of the same id, in the order of ids; None where one side has no such row."""
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and str(a["id"]) < str(b["id"])):
            yield a, None
            a = next(left, None)
        elif a is None or str(b["id"]) < str(a["id"]):
            yield None, b
            b = next(right, None)
        else:
            yield a, b
            a, b = next(left, None), next(right, None)


def _unmatched(alone: tuple[dict[str, str], dict[str, str]], found: Difference) -> None:
    """Rows that only one side has in a split: missing, or moved to another split."""
    for item in sorted(alone[0].keys() & alone[1].keys()):
        found.add("split", item, f"{alone[0][item]} in A, {alone[1][item]} in B")
    for side, name in enumerate(("only in A", "only in B")):
        for item, split in alone[side].items():
            if item not in alone[1 - side]:
                found.add(name, item, split)


def _compare_row(left: Row, right: Row, sets: tuple[Dataset, Dataset], columns: list[str], found: Difference) -> None:
    item = str(left["id"])
    for name in columns:
        a, b = left[name], right[name]
        if name == "label":
            a, b = _class_name(sets[0], a), _class_name(sets[1], b)
        if a == b:
            continue
        if name not in _MEDIA:
            found.add(name, item, f"{_brief(a)} in A, {_brief(b)} in B")
            continue
        first, second = (a or {}).get("bytes") or b"", (b or {}).get("bytes") or b""
        if first == second:
            continue
        detail = _pixels(first, second) if name == "image" else _samples(first, second)
        if detail:
            found.add(name, item, detail)
        else:
            found.reencoded += 1


def _class_name(dataset: Dataset, label: Any) -> str:
    names = dataset.recipe.classes.names
    return names[label] if isinstance(label, int) and 0 <= label < len(names) else str(label)


# Many rows share one clip: each pair of clips is compared once.
@functools.lru_cache(maxsize=256)
def _samples(first: bytes, second: bytes) -> str:
    """In what two clips differ; empty where rate and samples are the same."""
    decoded = [_decoded(audio.decode_mono_int16, data) for data in (first, second)]
    if isinstance(decoded[0], str) or isinstance(decoded[1], str):
        return _unreadable(*decoded)
    (a, rate_a), (b, rate_b) = decoded
    parts = [] if rate_a == rate_b else [f"{rate_a} Hz in A, {rate_b} Hz in B"]
    if len(a) != len(b):
        parts.append(f"{len(a)} samples in A, {len(b)} in B")
    else:
        parts += _by_how_much(a, b, "samples")
    return "; ".join(parts)


def _pixels(first: bytes, second: bytes) -> str:
    """In what two images differ; empty where shape and pixels are the same."""
    a, b = (_decoded(image.decode, data) for data in (first, second))
    if isinstance(a, str) or isinstance(b, str):
        return _unreadable(a, b)
    if a.shape != b.shape:
        return f"shape {a.shape} in A, {b.shape} in B"
    return "".join(_by_how_much(a, b, "values"))


def _decoded(decode: Callable[[bytes], Any], data: bytes) -> Any:
    """The decoded media, or the reason why it cannot be decoded."""
    try:
        return decode(data)
    except MediaError as error:
        return error.what


def _unreadable(a: Any, b: Any) -> str:
    return "; ".join(f"{side}: {value}" for side, value in (("A", a), ("B", b)) if isinstance(value, str))


def _by_how_much(a: Any, b: Any, what: str) -> list[str]:
    apart = np.abs(a.astype(np.int64) - b.astype(np.int64))
    number = int(np.count_nonzero(apart))
    return [f"{number:,} of {apart.size:,} {what}, by up to {int(apart.max())}"] if number else []


# -------------------------------------------------------------------------------------------- documents
def _documents(a: Manifest, b: Manifest) -> list[tuple[str, str, str]]:
    """Every entry of the manifests that differs, but for digests and shards."""
    first, second = _entries(a), _entries(b)
    keys = list(dict.fromkeys([*first, *second]))
    return [
        (key, first.get(key, "-"), second.get(key, "-")) for key in keys if first.get(key, "-") != second.get(key, "-")
    ]


def _entries(manifest: Manifest) -> dict[str, str]:
    raw = manifest.model_dump(mode="json", by_alias=True, exclude=_DERIVED)
    for record in raw["splits"].values():
        del record["classes"], record["takes"]  # the rows show them
    return dict(_flat(raw, ""))


def _flat(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """(`recipe.audio.samples`, "18140") for every entry of nested tables."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(part, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        for i, part in enumerate(value):
            yield from _flat(part, f"{place}[{i}]")
    else:
        yield place, _brief(value)


def _brief(value: Any) -> str:
    """A value in one line."""
    text = "none" if value is None else str(value)
    return text if len(text) <= 200 else f"{text[:160]}... ({len(text):,} characters)"
