"""Where outputs are written: one parquet table, or several of which none is larger than a limit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from xmbench.errors import DocumentError
from xmbench.formats.submission import OUTPUT_TABLE, output_part, output_parts
from xmbench.storage.files import replacing, writing
from xmbench.storage.sizes import size_text

GROUP_ROWS = 1000
DICTIONARY_BYTES = 64 * 2**20  # more than the distinct clips of a row group: repeated clips are stored once
SCHEMA = pa.schema([("id", pa.string()), ("bytes", pa.binary())])
_ROW_BYTES = 64  # of a row besides its output: its id, its place in the dictionary
_GROUP_BYTES = 1 << 10  # of a row group: headers, and its part of the footer
_FILE_BYTES = 1 << 12

Row = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class OutputForm:
    """How outputs are stored; scores do not depend on it.

    Attributes:
        sound: kind of file of a sound; both hold the same 16-bit samples. An image is a png file.
        max_file_bytes: of a table; more outputs are divided among several. None: one table.
    """

    sound: Literal["wav", "flac"] = "wav"
    max_file_bytes: int | None = None


class Table(Protocol):
    """What takes outputs in the order of their ids."""

    def add(self, rows: Sequence[Row]) -> None:
        """Takes some outputs: id and bytes."""
        ...


@contextmanager
def output_table(folder: Path, form: OutputForm) -> Iterator[Table]:
    """The table or tables of a submission: complete when the block succeeds, or none of them.

    Tables of an earlier form are removed.

    Raises:
        DocumentError: one output is larger than a file may be.
        OutputError: the directory cannot be written.
    """
    if form.max_file_bytes is None:
        with replacing(folder / OUTPUT_TABLE) as temporary, one_table(temporary) as table:
            yield table
        _remove(output_parts(folder))
        return
    tables = _Tables(folder, form.max_file_bytes)
    with writing(folder):
        _remove(folder.glob(".outputs-*.tmp"))  # of a run that was killed
        try:
            yield tables
            tables.finish()
        finally:
            _remove(tables.written)


@contextmanager
def one_table(path: Path) -> Iterator[Table]:
    """A single table; rows are in memory until a row group is full."""
    with _writer(path) as writer:
        table = _OneTable(writer)
        yield table
        table.flush()


class _OneTable:
    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer
        self._rows: list[Row] = []

    def add(self, rows: Sequence[Row]) -> None:
        self._rows += rows
        if len(self._rows) >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._writer.write_table(_arrow(self._rows), row_group_size=GROUP_ROWS)
            self._rows = []


class _Tables:
    """Rows are in memory until the next one could exceed the limit; equal outputs are kept once."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._codec = pa.Codec("zstd")
        self.written: list[Path] = []
        self._start()

    def _start(self) -> None:
        self._rows: list[Row] = []
        self._known: dict[bytes, bytes] = {}
        self._group: set[bytes] = set()
        self._size = _FILE_BYTES

    def add(self, rows: Sequence[Row]) -> None:
        for item, data in rows:
            if len(self._rows) % GROUP_ROWS == 0:
                self._group = set()
                self._size += _GROUP_BYTES
            cost = _ROW_BYTES + (0 if data in self._group else self._codec.compress(data).size)
            if self._rows and self._size + cost > self._limit:
                self._write(self._rows)
                self._start()
                cost = _ROW_BYTES + self._codec.compress(data).size
            self._size += cost
            self._group.add(data)
            self._rows.append((item, self._known.setdefault(data, data)))

    def finish(self) -> None:
        """Writes what is left, and gives every table its name."""
        if self._rows or not self.written:
            self._write(self._rows)
        _remove([self._folder / OUTPUT_TABLE, *output_parts(self._folder)])
        count = len(self.written)
        for i, path in enumerate(self.written):
            path.replace(self._folder / (OUTPUT_TABLE if count == 1 else output_part(i, count)))
        self.written = []

    def _write(self, rows: Sequence[Row]) -> None:
        """Writes a table; where the sizes were estimated too low, two of half the rows."""
        path = self._folder / f".outputs-{len(self.written):05d}.{os.getpid()}.tmp"
        self.written.append(path)
        with _writer(path) as writer:
            for start in range(0, len(rows), GROUP_ROWS):
                writer.write_table(_arrow(rows[start : start + GROUP_ROWS]), row_group_size=GROUP_ROWS)
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
        size = path.stat().st_size
        if size <= self._limit:
            return
        if len(rows) < 2:
            raise DocumentError(
                f"one output takes {size_text(size)}",
                where="--max-file",
                expected=f"more than {size_text(self._limit)} a file",
            )
        self.written.pop().unlink()
        self._write(rows[: len(rows) // 2])
        self._write(rows[len(rows) // 2 :])


def _writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path, SCHEMA, compression="zstd", use_dictionary=["bytes"], dictionary_pagesize_limit=DICTIONARY_BYTES
    )


def _arrow(rows: Sequence[Row]) -> pa.Table:
    ids, data = zip(*rows, strict=True)
    return pa.table({"id": list(ids), "bytes": list(data)}, schema=SCHEMA)


def _remove(paths: Iterator[Path] | Sequence[Path]) -> None:
    for path in list(paths):
        path.unlink(missing_ok=True)
