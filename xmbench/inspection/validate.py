"""Reads a data set and checks everything that its manifest and card say. Every problem is listed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from xmbench.errors import DatasetError, DocumentError, MediaError
from xmbench.execution.progress import Progress
from xmbench.formats.columns import schema
from xmbench.formats.dataset import (
    Dataset,
    Manifest,
    ShardRecord,
    batch_rows,
    content_digest,
    dataset_digest,
    open_dataset,
    row_digest,
)
from xmbench.formats.document import ID_PATTERN, load_json
from xmbench.formats.layout import DATA_FOLDER, HASHED_LAYOUT, MANIFEST_FILE, SHARD_NAME
from xmbench.formats.tables import read_schema
from xmbench.inspection import document_checks
from xmbench.inspection.clip_checks import ClipChecks
from xmbench.inspection.findings import Findings, Validation, brief
from xmbench.media import image
from xmbench.printable import shown

_TOLD_EVERY = 10_000
# The columns that every data set has, and the one that says what is spoken.
_COLUMNS = ("id", "image", "audio", "label", "take", "group", "duration_s", "source")
_SPOKEN = "text"


@dataclass(slots=True)
class _Seen:
    """What is known from the rows read so far."""

    found: Findings
    clips: ClipChecks
    schema: pa.Schema
    digests: list[tuple[str, str, str]] = field(default_factory=list)
    classes: Counter[tuple[str, int]] = field(default_factory=Counter)
    durations: dict[str, list[float]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    last: dict[str, str] = field(default_factory=dict)


def open_unchecked(folder: Path) -> Dataset:
    """Opens a data set whose shards may be missing or damaged, so that `validate` can list that too.

    Raises:
        DatasetError: not a data set, or an unfinished one.
        DocumentError: a manifest that does not fit its schema.
    """
    path = folder / MANIFEST_FILE
    return Dataset(folder, load_json(path, Manifest)) if path.is_file() else open_dataset(folder)


def validate(dataset: Dataset, progress: Progress = lambda line: None) -> Validation:
    """Decodes every image and clip of a data set and compares it with its documents.

    Args:
        dataset: a data set directory, from `open_unchecked`.
        progress: called with lines of progress.

    Returns:
        The findings. Nothing is raised for a data set that is wrong.
    """
    result = Validation(dataset.recipe.name)
    seen = _Seen(result.found, ClipChecks(dataset, result.found), schema(dataset.recipe, {}))
    for shard in dataset.manifest.shards:
        _check_shard(dataset, shard, seen, progress)
    result.notes += seen.clips.conclude()
    result.digest = dataset_digest(seen.digests)
    if result.digest != dataset.digest:
        seen.found.add("digest", f"digest of the content {result.digest}, the manifest says {dataset.digest}")
    takes = {split: seen.clips.counts(split) for split in dataset.manifest.splits}
    for split in dataset.manifest.splits:
        result.rows[split] = sum(n for (name, _), n in seen.classes.items() if name == split)
        result.takes[split] = takes[split].total()
    document_checks.check_counts(dataset, seen.classes, takes, seen.found)
    document_checks.check_manifest(dataset, seen.found)
    result.notes += document_checks.check_ledger(dataset, seen.found)
    document_checks.check_card(dataset, seen.durations, seen.found)
    document_checks.check_strays(dataset, seen.found)
    return result


def _check_shard(dataset: Dataset, shard: ShardRecord, seen: _Seen, progress: Progress) -> None:
    path, (folder, _, name) = dataset.folder / shard.path, shard.path.rpartition("/")
    if folder != DATA_FOLDER or not SHARD_NAME.match(name) or not name.startswith(f"{shard.split}-"):
        seen.found.add("shard", f"{shard.path}: not the name of a shard of '{shard.split}': not read")
        return
    if not path.is_file():
        seen.found.add("shard", f"{shard.path}: missing")
        return
    if path.stat().st_size != shard.bytes:
        seen.found.add("shard", f"{shard.path}: {path.stat().st_size} bytes, the manifest says {shard.bytes}")
    digests: list[tuple[str, str, str]] = []
    # In the present layout, each shard of a split continues the order of the one before.
    before = "" if dataset.manifest.layout == HASHED_LAYOUT else seen.last.get(shard.split, "")
    try:
        for row in _rows(dataset, shard, seen.schema):
            item = str(row["id"])
            if item <= before:
                told = f"'{shown(item)}' comes after '{shown(before)}'"
                seen.found.add("order", f"{shard.path}: {told}: not in the order of ids")
            before = seen.last[shard.split] = item
            digests.append((shard.split, item, _check_row(dataset, shard.split, row, seen)))
            if (len(seen.digests) + len(digests)) % _TOLD_EVERY == 0:
                progress(f"  {len(seen.digests) + len(digests):,} rows")
    except DatasetError as error:
        seen.found.add("shard", f"{shard.path}: {error.what}")
    if len(digests) != shard.rows:
        seen.found.add("count", f"{shard.path}: {len(digests)} rows, the manifest says {shard.rows}")
    if dataset_digest(digests) != shard.digest:
        seen.found.add("digest", f"{shard.path}: its content is not what the manifest says")
    seen.digests += digests


def _rows(dataset: Dataset, shard: ShardRecord, wanted: pa.Schema) -> Iterator[dict[str, Any]]:
    try:
        there = read_schema(dataset.folder / shard.path)
        _check_columns(there, wanted)
        names = [name for name in (*_COLUMNS, _SPOKEN) if name in there.names]
        for batch in dataset.open_shard(shard, names).batches(batch_rows(dataset.recipe)):
            yield from batch.to_pylist()
    except DocumentError as error:
        told = f"{error.what}; expected {error.expected}" if error.expected else error.what
        raise DatasetError(f"the shard cannot be read ({told})") from error
    except ValueError as error:  # text that is not UTF-8
        raise DatasetError(f"the shard cannot be read ({brief(error)})") from error


def _check_columns(there: pa.Schema, wanted: pa.Schema) -> None:
    """Raises DatasetError if a column is missing or of another type, or `datasets` would read it as another."""
    absent = [name for name in wanted.names if name not in there.names]
    if absent:
        raise DatasetError(f"without the column(s) {', '.join(absent)}")
    other = [
        f"'{column.name}' is {there.field(column.name).type}, expected {column.type}"
        for column in wanted
        if there.field(column.name).type != column.type
    ]
    if other:
        raise DatasetError(f"columns of another type: {'; '.join(other)}")
    said, meant = (document_checks.features_of(found.metadata or {}) for found in (there, wanted))
    if not said:
        raise DatasetError("without the metadata that tells `datasets` the columns' types")
    # A newer `datasets` may add to a column's metadata; shared keys must agree.
    wrong = [
        name
        for name, feature in meant.items()
        if name not in said or any(said[name].get(key, value) != value for key, value in feature.items())
    ]
    if wrong:
        raise DatasetError(f"its metadata for `datasets` does not fit the recipe: {', '.join(wrong)}")


def _check_row(dataset: Dataset, split: str, row: dict[str, Any], seen: _Seen) -> str:
    """Checks one row; returns its digest, empty where it cannot be decoded."""
    item, label, classes = str(row["id"]), row["label"], dataset.recipe.classes
    if not re.fullmatch(ID_PATTERN, item):
        item = shown(item)
        seen.found.add("id", f"'{item}': the id does not match {ID_PATTERN}")
    if item in seen.ids:
        seen.found.add("id", f"'{item}': the id is there twice")
    seen.ids.add(item)
    if label is None or not 0 <= label < len(classes.names):
        seen.found.add("label", f"'{item}': label {label}, expected 0..{len(classes.names) - 1}")
        return ""
    if classes.words and row.get(_SPOKEN, classes.words[label]) != classes.words[label]:
        said = f"the class '{classes.names[label]}', but '{row[_SPOKEN]}' is spoken"
        seen.found.add("label", f"'{item}': {said}: a flipped label or a swapped clip")
    seen.classes[split, label] += 1
    seen.durations.setdefault(split, []).append(row["duration_s"] or 0.0)
    _check_names(item, row, seen.found)
    clip, picture = _sound(split, item, label, row, seen), _picture(dataset, item, row, seen.found)
    return row_digest(split, item, label, picture, clip) if clip and picture else ""


def _check_names(item: str, row: dict[str, Any], found: Findings) -> None:
    """The builder names each picture after its item and each clip after its take."""
    for column, wanted in (("image", item), ("audio", str(row["take"]))):
        path = (row[column] or {}).get("path")
        if path and Path(path).stem != wanted:
            kind = "image" if column == "image" else "clip"
            found.add(kind, f"'{item}': the {kind} is named '{path}', expected '{wanted}': a swapped {kind}")


def _sound(split: str, item: str, label: int, row: dict[str, Any], seen: _Seen) -> bytes:
    try:
        return seen.clips.check(split, item, label, row)
    except (MediaError, TypeError) as error:
        seen.found.add("clip", f"'{item}': {brief(error) if isinstance(error, MediaError) else 'no clip'}")
        return b""


def _picture(dataset: Dataset, item: str, row: dict[str, Any], found: Findings) -> bytes:
    try:
        picture = image.decode(row["image"]["bytes"] or b"")
    except (MediaError, TypeError) as error:
        found.add("image", f"'{item}': {brief(error) if isinstance(error, MediaError) else 'no image'}")
        return b""
    wanted = dataset.recipe.task.image
    if picture.shape != (wanted.height_px, wanted.width_px, wanted.channels):
        found.add("image", f"'{item}': image of shape {picture.shape}")
    return content_digest(picture)
