"""Data set directory: the manifest, the digest, and reading rows back in the order of their ids.

::

    README.md  manifest.json  ledger.parquet  data/<split>-0000i-of-0000n.parquet  judges/

A directory without `manifest.json` is not a data set: the builder writes it last. Shards are runs of the sorted ids, so
one row group is open at a time. Older sets have their rows in shards by a hash of the id, in order inside each:
they are merged as they are read.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from xmbench.errors import DatasetError, DocumentError
from xmbench.formats.columns import row_bytes
from xmbench.formats.document import ID_PATTERN, Document, Part, load_json
from xmbench.formats.layout import HASHED_LAYOUT, MANIFEST_FILE, WORK_FOLDER
from xmbench.formats.limit import Limit
from xmbench.formats.recipe import Recipe, Sha256, TrackSpec
from xmbench.formats.tables import LARGEST_PAGE, Bound, Table, open_table
from xmbench.formats.tracks import tracks_of
from xmbench.interfaces import Direction
from xmbench.printable import shown
from xmbench.storage.files import regular_size

_BATCH_ROWS = 256
_BATCH_BYTES = 1 << 24  # of pixels and samples unpacked at a time
_MORE_ROWS = 1000  # beyond the manifest's count: read, so that `validate` can name them
_SLACK = 1 << 26
_MEDIA = ("image", "audio")
_LONGEST_ID = 200
_TEXT_BYTES = 1 << 12  # of a cell that is not media


class Counts(Part):
    """`planned = written + filtered + failed`, the last two by reason."""

    planned: int
    written: int
    filtered: dict[str, int] = Field(default_factory=dict)
    failed: dict[str, int] = Field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """Whether every planned item is accounted for."""
        return self.planned == self.written + sum(self.filtered.values()) + sum(self.failed.values())


class SplitRecord(Part):
    """One split: its counts, its counts per class, and its distinct takes per class."""

    counts: Counts
    classes: dict[str, Counts]
    takes: dict[str, int]


class ShardRecord(Part):
    """One parquet file. `digest` covers the decoded content of its rows, `bytes` is the file's size."""

    path: str
    split: str
    rows: int
    bytes: int
    digest: Sha256


class FetchedRecord(Part):
    """A linked recording as it was fetched: what another build compares its own copy with.

    Attributes:
        licence: as the list of links states it.
        format: yt-dlp's name of the chosen format, and the extractor that found it.
        sha256, bytes: of the file as it came.
        fetched_by: yt-dlp with its version, and ffmpeg's where it cut the part.
        decoded_by: the libraries that decoded it.
        date: of the fetch, UTC.
    """

    licence: str
    format: str
    sha256: Sha256
    bytes: int
    fetched_by: str
    decoded_by: str
    date: str


class SourceRecord(Part):
    """What a source was on this build: sha256 of each uncompressed file or directory, versions of its tools.

    `changed` names the files whose content was not the published one, taken because the user asked for it.
    `repeatable` is False for clips of an engine that never speaks the same way twice. `differences` says how the items
    differ from the published ones. `fetched` has the linked recordings, by their address.
    """

    files: dict[str, Sha256] = Field(default_factory=dict)
    changed: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    repeatable: bool = True
    versions: dict[str, str] = Field(default_factory=dict)
    fetched: dict[str, FetchedRecord] = Field(default_factory=dict)
    licence: str
    redistributable: bool


class Manifest(Document):
    """`manifest.json`: everything needed to say what this directory is, and to build it again.

    `data_digest` is the recipe's, of what shapes a row; `recipe_digest`, of all of it, shows this copy to be complete.
    `mirror` is the revision on the Hub that the upstream files came from, if one was given; `speech` the
    engine of `--speech`, where that changed the recipe; `layout` says how rows are
    divided among shards (`formats.layout`).
    """

    schema_: Literal["xmbench/dataset/2"] = Field(default="xmbench/dataset/2", alias="schema")
    recipe: Recipe
    recipe_digest: Sha256
    data_digest: Sha256
    dataset_digest: Sha256
    limit: Limit = None
    seed: int
    speech: str = ""
    layout: str = HASHED_LAYOUT
    xmbench_version: str
    tools: dict[str, str]
    sources: dict[str, SourceRecord]
    mirror: str = ""
    splits: dict[str, SplitRecord]
    shards: tuple[ShardRecord, ...]


def content_digest(pixels: NDArray[np.uint8]) -> bytes:
    """sha256 (32 bytes) of decoded pixels (H, W, C): shape and values."""
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).digest()


def samples_digest(samples: NDArray[np.int16], sample_rate_hz: int) -> bytes:
    """sha256 (32 bytes) of decoded samples (T,): rate and values."""
    data = np.ascontiguousarray(samples, dtype="<i2").tobytes()
    return hashlib.sha256(f"{sample_rate_hz}:".encode() + data).digest()


def row_digest(split: str, item_id: str, label: int, image: bytes, audio: bytes) -> str:
    """sha256 of one row: split, id, label, and the digests of its decoded pixels and samples."""
    return hashlib.sha256(f"{split}\0{item_id}\0{label}\0".encode() + image + audio).hexdigest()


def dataset_digest(rows: Iterable[tuple[str, str, str]]) -> str:
    """sha256 over (split, id, row digest) of every row, sorted; file bytes play no part."""
    total = hashlib.sha256()
    for split, item_id, digest in sorted(rows):
        total.update(f"{split} {item_id} {digest}\n".encode())
    return total.hexdigest()


class Dataset:
    """A finished data set directory, opened for reading.

    Attributes:
        folder: its path.
        manifest: its manifest.
    """

    __slots__ = ("folder", "manifest")

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was built from."""
        return self.manifest.recipe

    @property
    def tracks(self) -> tuple[TrackSpec, ...]:
        """What it is scored on: the tracks of the installed recipe that builds this data, else its own."""
        return tracks_of(self.recipe)

    def track(self, direction: Direction) -> TrackSpec | None:
        """The one of its `tracks` in a direction, or None."""
        return next((track for track in self.tracks if track.direction == direction), None)

    @property
    def digest(self) -> str:
        """The data set digest."""
        return self.manifest.dataset_digest

    def count(self, split: str) -> int:
        """Rows of a split."""
        record = self.manifest.splits.get(split)
        return record.counts.written if record else 0

    def shards(self, split: str) -> list[Path]:
        """Paths of a split's shards, in order."""
        return [self.folder / shard.path for shard in self.manifest.shards if shard.split == split]

    def rows(self, split: str, columns: Sequence[str], *, checked: bool = True) -> Iterator[dict[str, Any]]:
        """Rows in the order of their ids; media columns as `{"bytes": ..., "path": ...}`.

        Args:
            split: "train" or "test".
            columns: names; the id is always included.
            checked: refuse a row without an id, or with a label that is not a class.

        Raises:
            DatasetError: a shard is missing or cannot be read, or a row is refused.
        """
        wanted = _wanted(columns)
        streams = [self._stream(shard, wanted, checked) for shard in self.manifest.shards if shard.split == split]
        if self.manifest.layout == HASHED_LAYOUT:
            yield from heapq.merge(*streams, key=lambda row: str(row["id"]))
            return
        for stream in streams:
            yield from stream

    def table(self, split: str, columns: Sequence[str]) -> pa.Table:
        """Scalar columns of a split, sorted by id.

        Raises:
            DatasetError: a shard is missing or cannot be read.
        """
        wanted, parts = _wanted(columns), []
        for shard in self.manifest.shards:
            if shard.split == split:
                try:
                    opened = self.open_shard(shard, wanted)
                    parts.append(opened.read(_rows_of(shard) * len(wanted) * _TEXT_BYTES + _SLACK))
                except DocumentError as error:
                    raise _damaged(error) from error
                _check_scalars(self, opened.path, parts[-1])
        if not parts:
            raise DatasetError(f"the data set has no split '{split}'", where=self.folder)
        try:
            return pa.concat_tables(parts).sort_by("id")
        except pa.ArrowException as error:
            raise DatasetError(
                f"the shards do not fit together ({shown(str(error), 200)})",
                where=self.folder,
                todo="run `xmbench validate` to see which one differs",
            ) from error

    def open_shard(self, shard: ShardRecord, columns: Sequence[str]) -> Table:
        """Opens columns of a shard, within what the recipe and the manifest allow.

        Raises:
            DocumentError: it is missing, damaged, or holds more than such a shard can.
        """
        task, rows = self.recipe.task, _rows_of(shard)
        image = 4 * task.image.height_px * task.image.width_px * task.image.channels
        media = max(image, 4 * task.audio.samples) + (1 << 16)
        bounds = {}
        for name in columns:
            size = media if name in _MEDIA else _TEXT_BYTES
            bounds[name] = Bound(rows * size + _SLACK, max(LARGEST_PAGE, 1024 * size))
        return open_table(self.folder / shard.path, bounds, rows)

    def _stream(self, shard: ShardRecord, columns: Sequence[str], checked: bool) -> Iterator[dict[str, Any]]:
        path = self.folder / shard.path
        try:
            for batch in self.open_shard(shard, columns).batches(batch_rows(self.recipe)):
                rows = _listed(path, batch)
                for row in rows if checked else ():
                    _check_row(self, path, row)
                yield from rows
        except DocumentError as error:
            raise _damaged(error) from error


def open_dataset(folder: Path) -> Dataset:
    """Opens a data set directory; checks that every shard is there at its recorded size.

    Raises:
        DatasetError: not a data set, an unfinished one, or shards that are missing or of another size.
        DocumentError: a manifest that does not fit its schema.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        if (folder / WORK_FOLDER).is_dir():
            raise DatasetError(
                "this build is not finished",
                where=folder,
                expected=f"a {MANIFEST_FILE}, which is written last",
                todo="run the same `xmbench build` again: it resumes where it stopped",
            )
        raise DatasetError(
            "no data set here",
            where=folder,
            expected=f"a directory with a {MANIFEST_FILE}",
            todo=f"xmbench build RECIPE --out {folder}",
        )
    manifest = load_json(path, Manifest)
    problems = [problem for shard in manifest.shards if (problem := _shard_problem(folder, shard))]
    if problems:
        raise DatasetError(
            "the data set is damaged",
            where=folder,
            problems=problems,
            todo="build it again: `xmbench build` writes only the shards that are missing or wrong",
        )
    return Dataset(folder, manifest)


def _shard_problem(folder: Path, shard: ShardRecord) -> str:
    """Why the file of a shard cannot be the recorded one; "" where it has the recorded size."""
    if PurePosixPath(shard.path).is_absolute() or ".." in PurePosixPath(shard.path).parts:
        return f"{shown(shard.path)}: outside the data set"
    try:
        size = regular_size(folder / shard.path, None)
    except DocumentError as error:
        missing = not (folder / shard.path).exists()
        return f"{shown(shard.path)}: {'missing' if missing else error.what}"
    return "" if size == shard.bytes else f"{shard.path}: {size} bytes, expected {shard.bytes}"


def batch_rows(recipe: Recipe) -> int:
    """How many rows are read at a time: a few MB of media, however large one row is."""
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // row_bytes(recipe)))


def read_batches(file: pq.ParquetFile, columns: Sequence[str], recipe: Recipe) -> Iterator[pa.RecordBatch]:
    """Rows of a shard that `open_pages` opened, a few MB of media at a time; raises what pyarrow does."""
    yield from file.iter_batches(batch_size=batch_rows(recipe), columns=list(columns), use_threads=False)


def _wanted(columns: Sequence[str]) -> list[str]:
    return ["id", *(name for name in columns if name != "id")]


def _rows_of(shard: ShardRecord) -> int:
    """How many rows of a shard are read at most: more than the manifest says, so that extra rows can be named."""
    return 2 * max(0, shard.rows) + _MORE_ROWS


def _listed(path: Path, batch: pa.RecordBatch) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except ValueError as error:  # texts that are not UTF-8
        raise DocumentError(f"not a readable parquet file ({shown(str(error), 200)})", where=path) from error
    return rows


def _check_row(dataset: Dataset, path: Path, row: dict[str, Any]) -> None:
    """Raises DatasetError for a row that cannot be used: without a valid id, class, image or clip."""
    item, classes, wrong = row["id"], len(dataset.recipe.classes.names), ""
    if not (isinstance(item, str) and len(item) <= _LONGEST_ID and re.fullmatch(ID_PATTERN, item)):
        wrong = f"the id {shown(repr(item))}"  # an id becomes a file name
    elif not (isinstance(label := row.get("label", 0), int) and 0 <= label < classes):
        wrong = f"item '{item}': label {shown(repr(label))}, expected 0..{classes - 1}"
    else:
        absent = [name for name in _MEDIA if name in row and not (row[name] or {}).get("bytes")]
        wrong = f"item '{item}': no {' and no '.join(absent)}" if absent else ""
    if wrong:
        raise DatasetError(
            f"a row that cannot be used: {wrong}",
            where=path,
            expected=f"ids of {ID_PATTERN}, labels of the recipe's classes, an image and a clip in every row",
            todo="run `xmbench validate` to see every one",
        )


def _check_scalars(dataset: Dataset, path: Path, table: pa.Table) -> None:
    """The same for a table."""
    columns = [name for name in ("id", "label") if name in table.column_names]
    for row in table.select(columns).to_pylist():
        _check_row(dataset, path, row)


def _damaged(error: DocumentError) -> DatasetError:
    return DatasetError(
        f"the shard cannot be read: {error.what}",
        where=error.where,
        expected=error.expected,
        todo="remove this file and run the same `xmbench build` again: only this shard is rebuilt",
    )
