"""Rows -> one parquet file with the schema that `datasets` reads, written without decoding anything twice."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from xmbench.builder.plan import Plan
from xmbench.builder.readers import Reader
from xmbench.builder.rows import Row, Rows
from xmbench.builder.shards import Shard
from xmbench.builder.takes import Take
from xmbench.errors import DocumentError
from xmbench.formats.columns import row_bytes, schema
from xmbench.formats.dataset import dataset_digest
from xmbench.formats.ledger import LedgerRow
from xmbench.formats.recipe import Recipe
from xmbench.storage.files import read_bytes, replacing, write_text

GROUP_ROWS = 1_000
GROUP_BYTES = 100_000_000  # of pixels and samples: one row group is in memory at a time
_STEP_BYTES = 8_000_000
_HEADER_BYTES = 4096  # more than a wav or flac file has in addition to its samples
_MEDIA_LEAVES = ("image.bytes", "image.path", "audio.bytes", "audio.path")
_UNREPEATED = {"id", "image.bytes", "image.path", "source"}


@dataclass(frozen=True)
class Job:
    """What all shards of a build share. Sent to each worker once.

    Attributes:
        recipe: formats, class names, regime.
        reader: of the items.
        schema: of the files, with the metadata of `datasets`.
        clips: directory of the takes' files.
        data, reports: directories to write to.
    """

    recipe: Recipe
    reader: Reader
    schema: pa.Schema
    clips: Path
    data: Path
    reports: Path


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One file to write, with the takes that its items need; `digest` covers what it depends on."""

    shard: Shard
    takes: Mapping[str, Take]
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ShardReport:
    """The content of a finished shard; stored as JSON until the build is done.

    Attributes:
        plan: digest of the shard's plan.
        name, split, bytes: of the file.
        rows: (id, row digest) in the order of the file.
        classes: rows of each class name.
        takes: keys of the takes of each class name, sorted.
        ledger: items that did not become rows.
    """

    plan: str
    name: str
    split: str
    bytes: int
    rows: tuple[tuple[str, str], ...]
    classes: dict[str, int]
    takes: dict[str, tuple[str, ...]]
    ledger: tuple[LedgerRow, ...]


def job(plan: Plan, clips: Path, data: Path, reports: Path) -> Job:
    """What the workers of a plan share."""
    recipe = plan.request.recipe
    folders = (folder.absolute() for folder in (clips, data, reports))  # a worker may have another working directory
    return Job(recipe, plan.reader, schema(recipe, plan.attributes), *folders)


def write_shard(work: Job, task: ShardTask) -> ShardReport:
    """Writes one shard and its report; both appear under their names only when they are complete.

    Raises:
        OutputError: the directory cannot be written, or the disk is full.
        DocumentError: a source has attributes that it does not declare, or of another type.
    """
    rows: list[tuple[str, str]] = []
    counted = Counter[str]()
    takes: dict[str, set[str]] = {name: set() for name in work.recipe.classes.names}
    encoded = Rows(work.recipe, work.reader, work.schema, work.clips, task.takes)
    path = work.data / task.shard.name

    def noted() -> Iterator[Row]:
        for row in encoded.read(task.shard.items):
            rows.append((row.id, row.digest))
            name = work.recipe.classes.names[row.label]
            counted[name] += 1
            takes[name].add(row.take)
            yield row

    with replacing(path) as temporary, open_writer(temporary, work.schema, work.recipe, len(task.takes)) as writer:
        for group in _groups(noted(), work):
            writer.write_table(group, row_group_size=GROUP_ROWS)
            del group  # before the next one is read
    report = ShardReport(
        task.digest,
        task.shard.name,
        task.shard.split,
        path.stat().st_size,
        tuple(rows),
        {name: counted[name] for name in takes},
        {name: tuple(sorted(keys)) for name, keys in takes.items()},
        tuple(encoded.ledger),
    )
    write_text(report_path(work.reports, task.shard.name), REPORT.dump_json(report).decode())
    return report


def group_rows(recipe: Recipe) -> int:
    """Rows of a row group."""
    return max(1, min(GROUP_ROWS, GROUP_BYTES // row_bytes(recipe)))


def report_path(folder: Path, shard: str) -> Path:
    """Path of the report of a shard."""
    return folder / f"{shard}.json"


def read_report(folder: Path, shard: str) -> ShardReport | None:
    """The report of a shard; None where it is missing or damaged."""
    try:
        return REPORT.validate_json(read_bytes(report_path(folder, shard)))
    except (DocumentError, ValidationError):
        return None


def shard_digest(report: ShardReport) -> str:
    """Digest of the decoded content of a shard's rows."""
    return dataset_digest((report.split, item, digest) for item, digest in report.rows)


def _groups(rows: Iterator[Row], work: Job) -> Iterator[pa.Table]:
    """Rows, a row group at a time; only a few at a time are Python objects."""
    length = group_rows(work.recipe)
    step = max(1, min(length, _STEP_BYTES // row_bytes(work.recipe)))
    while True:
        parts: list[pa.RecordBatch] = []
        have = 0
        while have < length and (part := list(itertools.islice(rows, min(step, length - have)))):
            parts.append(_batch(work.schema, part))
            have += len(part)
        if not parts:
            return
        yield pa.Table.from_batches(parts, schema=work.schema)


def _batch(columns: pa.Schema, rows: Sequence[Row]) -> pa.RecordBatch:
    """Some rows. The order of the columns is the schema's."""
    arrays = [_array([row.values[field.name] for row in rows], field.type) for field in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=columns)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_struct(kind):
        return pa.array(values, kind)
    parts = [pa.array([value[i] for value in values], field.type) for i, field in enumerate(kind)]
    return pa.StructArray.from_arrays(parts, fields=list(kind))


def open_writer(path: Path, columns: pa.Schema, recipe: Recipe, takes: int) -> pq.ParquetWriter:
    """A writer that stores each distinct clip once per row group, and no media bytes in the statistics.

    Args:
        path: of the file.
        columns: of the rows.
        recipe: of the data set.
        takes: distinct clips that the rows share; 0 where each row has its own.
    """
    plain = [field.name for field in columns if not pa.types.is_struct(field.type)]
    unrepeated = _UNREPEATED | ({"take", "audio.bytes", "audio.path"} if recipe.pairing.joint else set())
    longest = 2 * recipe.audio.samples + _HEADER_BYTES
    return pq.ParquetWriter(
        path,
        columns,
        compression="zstd",
        use_dictionary=[leaf for leaf in (*plain, *_MEDIA_LEAVES) if leaf not in unrepeated],
        write_statistics=plain,
        # A dictionary that outgrows its page is abandoned, and every clip is written out.
        dictionary_pagesize_limit=(1 << 20) + longest * min(GROUP_ROWS, takes),
    )


REPORT = TypeAdapter(ShardReport)
