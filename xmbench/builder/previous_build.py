"""Reuses an earlier build in a directory: its clips, its failures, and the content of its shards.

Clips are taken from the finished data set: the cache may have been removed, and some engines never speak the same way
twice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xmbench.builder import workspace
from xmbench.builder.plan import Plan
from xmbench.builder.shard_writer import ShardReport, shard_digest
from xmbench.builder.takes import StoredClip
from xmbench.errors import DatasetError, MediaError
from xmbench.formats import ledger
from xmbench.formats.columns import attributes_of
from xmbench.formats.dataset import (
    Dataset,
    Manifest,
    ShardRecord,
    content_digest,
    read_batches,
    row_digest,
    samples_digest,
)
from xmbench.formats.layout import LEDGER_FILE
from xmbench.formats.ledger import LedgerRow
from xmbench.formats.recipe import Recipe
from xmbench.formats.tables import open_pages
from xmbench.interfaces import Rejected
from xmbench.media import audio, image
from xmbench.storage.files import make_folder, writing


def clips(folder: Path, manifest: Manifest, keep: Path, *, again: bool) -> dict[str, StoredClip | Rejected]:
    """The outcome of each take of a finished data set, by its key; joint items have no takes.

    Args:
        folder: of the data set; damaged shards are skipped.
        manifest: its manifest.
        keep: directory for the files of the clips.
        again: leave out what failed for a temporary reason, so that it is retried.

    Raises:
        OutputError: `keep` cannot be written.
    """
    found: dict[str, StoredClip | Rejected] = {}
    if manifest.recipe.pairing.joint:
        return found
    for row in _ledger(folder):
        # Which of two equal clips is the duplicate depends on the other clips.
        if row.kind == "take" and row.reason != "duplicate" and not (again and row.temporary):
            found[row.id] = Rejected(row.stage, row.reason, row.detail, row.filtered, row.temporary)
    damaged = set(workspace.damaged_shards(folder, manifest))
    for shard in manifest.shards:
        if Path(shard.path).name not in damaged:
            found |= _stored(folder / shard.path, manifest, found.keys(), keep)
    return found


def lost_items(folder: Path) -> set[str]:
    """Ids of the items that did not become rows."""
    return {row.id for row in _ledger(folder) if row.kind == "item"}


def temporary_failures(dataset: Dataset, kind: str = "item") -> int:
    """How many items (or "take"s, of which no item may have needed one) `xmbench retry` would retry."""
    return sum(row.kind == kind and row.temporary for row in _ledger(dataset.folder))


def without(decided: Plan, items: Collection[str]) -> Plan:
    """A plan without some items."""
    shards = [
        replace(shard, items=tuple(item for item in shard.items if item.id not in items)) for shard in decided.shards
    ]
    return replace(decided, shards=tuple(shards))


def takes_of(path: Path) -> dict[str, str]:
    """The take of each row of a shard, by the row's id."""
    table = _read(path, ["id", "take"])
    return dict(zip(table["id"].to_pylist(), table["take"].to_pylist(), strict=True))


def reread(folder: Path, manifest: Manifest, shard: ShardRecord) -> ShardReport:
    """The report of a finished shard, from its content.

    Raises:
        DatasetError: the content is not what the manifest says.
    """
    names = manifest.recipe.classes.names
    rows, classes = [], Counter(dict.fromkeys(names, 0))
    takes: dict[str, set[str]] = {name: set() for name in names}
    digests: dict[bytes, bytes] = {}
    path = folder / shard.path
    try:
        for row in _rows(path, ["id", "image", "audio", "label", "take"], manifest.recipe):
            key = hashlib.sha256(row["audio"]["bytes"]).digest()
            if key not in digests:
                digests[key] = samples_digest(*audio.decode_mono_int16(row["audio"]["bytes"]))
            shown = content_digest(image.decode(row["image"]["bytes"]))
            rows.append((row["id"], row_digest(shard.split, row["id"], row["label"], shown, digests[key])))
            classes[names[row["label"]]] += 1
            takes[names[row["label"]]].add(row["take"])
    except MediaError as error:
        raise _damaged(path, error.what) from error
    keys = {name: tuple(sorted(found)) for name, found in takes.items()}
    report = ShardReport("", path.name, shard.split, shard.bytes, tuple(rows), dict(classes), keys, ())
    if shard_digest(report) != shard.digest:
        raise _damaged(path, "the content of the shard is not what the manifest says")
    return report


def _ledger(folder: Path) -> list[LedgerRow]:
    return ledger.read(folder / LEDGER_FILE) if workspace.readable(folder / LEDGER_FILE) else []


def _stored(path: Path, manifest: Manifest, known: Collection[str], keep: Path) -> dict[str, StoredClip]:
    """Takes of a shard that are not known yet, each copied once."""
    spec = manifest.recipe.audio
    found: dict[str, StoredClip] = {}
    with pq.ParquetFile(path) as file:
        columns = list(attributes_of(file.schema_arrow))
        for group in range(file.num_row_groups):
            keys = file.read_row_group(group, columns=["take"])["take"].to_pylist()
            first = {key: i for i, key in reversed(list(enumerate(keys))) if key not in known and key not in found}
            if not first:
                continue
            part = file.read_row_group(group, columns=["take", "audio", "duration_s", *columns])
            for row in part.take(pa.array(sorted(first.values()))).to_pylist():
                copy = keep / f"known-{hashlib.sha256(row['take'].encode()).hexdigest()}"
                if not keep.is_dir():
                    make_folder(keep)
                with writing(keep):
                    copy.write_bytes(row["audio"]["bytes"])
                length = min(round(row["duration_s"] * spec.sample_rate_hz), spec.samples)
                found[row["take"]] = StoredClip(copy, length, {name: row[name] for name in columns})
    return found


def _rows(path: Path, columns: list[str], recipe: Recipe) -> Iterator[dict[str, Any]]:
    try:
        with open_pages(path) as file:
            for part in read_batches(file, columns, recipe):
                yield from part.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, f"the shard cannot be read ({str(error)[:200]})") from error


def _read(path: Path, columns: list[str]) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, f"the shard cannot be read ({str(error)[:200]})") from error


def _damaged(path: Path, what: str) -> DatasetError:
    return DatasetError(
        what, where=path, todo="remove this file and run the same `xmbench build` again: only this shard is rebuilt"
    )
