"""Opens parquet files of others within bounds: what a file claims is compared with them before it is read.

A few kilobytes of parquet can hold 300 million null rows, or a page of zeros that unpacks to 2 GB. The footer says how
much there is, and may lie; the reader allocates by the page headers. Both are checked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from xmbench.errors import DocumentError
from xmbench.printable import shown
from xmbench.storage.files import LIMIT_VARIABLE, byte_limit, regular_size

LARGEST_FOOTER = 1 << 23  # bytes; unpacked it takes some hundred times as much
LARGEST_PAGE = 1 << 28  # a writer may put a thousand values into a page before it looks at their size
_BUFFER_BYTES = 1 << 20
_AT_ONCE = 1 << 28  # bytes that the rows of one batch may come to, whatever a dictionary makes of them
_FAULTS = (OSError, ValueError, MemoryError, pa.ArrowException)
_MORE = f"check that this is the right file; {LIMIT_VARIABLE}=BYTES allows more"


@dataclass(frozen=True, slots=True)
class Bound:
    """Largest unpacked size of a column in bytes: in total, and per page."""

    total: int
    page: int = LARGEST_PAGE


@dataclass(frozen=True, slots=True)
class Table:
    """A parquet file whose columns are within their bounds.

    Attributes:
        path: of the file.
        file: opened.
        columns: the requested ones.
        largest_page: bytes of the largest unpacked page among them: no single value is larger.
    """

    path: Path
    file: pq.ParquetFile
    columns: tuple[str, ...]
    largest_page: int

    def batches(
        self, rows: int, columns: Sequence[str] | None = None, groups: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Batches of at most `rows` rows, fewer where values are large.

        Raises:
            DocumentError: the file is damaged.
        """
        few = max(1, min(rows, _AT_ONCE // max(1, self.largest_page)))
        wanted = list(self.columns if columns is None else columns)
        try:
            yield from self.file.iter_batches(batch_size=few, columns=wanted, row_groups=groups, use_threads=False)
        except _FAULTS as error:
            raise unreadable(self.path, error) from error

    def read(self, largest: int) -> pa.Table:
        """The columns in memory, with valid UTF-8 in all text.

        Args:
            largest: limit in bytes.

        Raises:
            DocumentError: the file is damaged, or exceeds the limit.
        """
        parts, size = [], 0
        for batch in self.batches(1 << 16):
            parts.append(batch)
            size += batch.nbytes
            if size > _allowed(largest):
                raise DocumentError(
                    f"its columns come to more than {_allowed(largest):,} bytes", where=self.path, todo=_MORE
                )
        try:
            names = self.file.schema_arrow
            schema = parts[0].schema if parts else pa.schema([names.field(name) for name in self.columns])
            table = pa.Table.from_batches(parts, schema=schema).select(list(self.columns))
            table.validate(full=True)
        except _FAULTS as error:
            raise unreadable(self.path, error) from error
        return table


def open_pages(path: Path, dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
    """A file that is read page by page: otherwise pyarrow holds entire row groups, and reads ahead."""
    return pq.ParquetFile(path, read_dictionary=list(dictionaries), pre_buffer=False, buffer_size=_BUFFER_BYTES)


def open_table(
    path: Path, columns: Mapping[str, Bound] | None, rows: int, *, dictionaries: Sequence[str] = (), bound: int = 0
) -> Table:
    """Opens a parquet file, and checks what it claims before any value is read.

    Args:
        path: of the file.
        columns: the columns to read, each once in the file, and the bound of each; None for all columns,
            each within `bound`.
        rows: how many rows there may be.
        dictionaries: columns of text or bytes to be read as dictionaries, which hold a repeated value once.
        bound: unpacked bytes of a column, where `columns` is None.

    Raises:
        DocumentError: not a regular file, not parquet, a column that is missing or there twice, or too much data.
    """
    with _opened(path) as handle:
        size = _footer_checked(path, handle)
        try:
            file = open_pages(path, dictionaries)
        except _FAULTS as error:
            raise unreadable(path, error) from error
        names = file.schema_arrow.names
        bounds = dict.fromkeys(names, Bound(bound)) if columns is None else dict(columns)
        absent = [name for name in bounds if name not in names]
        if absent:
            raise DocumentError(f"without the column(s) {', '.join(absent)}", where=path)
        if twice := [shown(name) for name in bounds if names.count(name) > 1]:
            raise DocumentError(f"the column(s) {', '.join(twice)} are there more than once", where=path)
        try:
            _check_rows(path, file.metadata, rows)
            largest = max((_unpacked(path, handle, size, file, name, b) for name, b in bounds.items()), default=0)
        except _FAULTS as error:
            raise unreadable(path, error) from error
    return Table(path, file, tuple(bounds), largest)


def read_schema(path: Path) -> pa.Schema:
    """The columns of a parquet file, without its rows.

    Raises:
        DocumentError: not a regular file, or not parquet.
    """
    with _opened(path) as handle:
        _footer_checked(path, handle)
    try:
        return pq.read_schema(path)
    except _FAULTS as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> DocumentError:
    """A library's message about a damaged file, in one line."""
    return DocumentError(f"not a readable parquet file ({shown(str(error), 200)})", where=path)


def _allowed(bound: int) -> int:
    """A bound, or `$XMBENCH_MAX_BYTES` where that is larger: it limits single files, and not large tables."""
    return max(bound, byte_limit(bound))


def _opened(path: Path) -> BinaryIO:
    regular_size(path, None)  # only the unpacked size of its rows is limited
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise DocumentError(f"the file cannot be read ({error.strerror})", where=path) from error


def _footer_checked(path: Path, handle: BinaryIO) -> int:
    """Size of the file; raises DocumentError where its footer is too large."""
    size = handle.seek(0, os.SEEK_END)
    handle.seek(max(0, size - 8))
    tail = handle.read(8)
    footer = int.from_bytes(tail[:4], "little") if len(tail) == 8 else 0
    if footer > LARGEST_FOOTER and footer <= size:
        raise DocumentError(
            f"not a readable parquet file (its footer has {footer:,} bytes)",
            where=path,
            expected=f"at most {LARGEST_FOOTER:,}",
        )
    return size


def _check_rows(path: Path, metadata: pq.FileMetaData, most: int) -> None:
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    if min(groups, default=0) < 0 or sum(groups) != metadata.num_rows:
        raise DocumentError("not a readable parquet file (its counts of rows contradict each other)", where=path)
    if metadata.num_rows > most:
        raise DocumentError(f"the table has {metadata.num_rows:,} rows", where=path, expected=f"at most {most:,}")


def _unpacked(path: Path, handle: BinaryIO, size: int, file: pq.ParquetFile, name: str, bound: Bound) -> int:
    """Bytes of the largest page of a column; raises DocumentError where the column exceeds its bound."""
    metadata, total, largest = file.metadata, 0, 0
    leaves = [
        i for i in range(metadata.num_columns) if metadata.schema.column(i).path.split(".")[0] == name.split(".")[0]
    ]
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for leaf in leaves if group.num_rows else ():  # a group without rows has no pages
            chunk = group.column(leaf)
            if metadata.schema.column(leaf).max_repetition_level == 0 and chunk.num_values != group.num_rows:
                raise DocumentError(f"not a readable parquet file (column {name} lacks values)", where=path)
            for page in _pages(handle, size, chunk):
                total, largest = total + page, max(largest, page)
                if total > _allowed(bound.total) or page > _allowed(bound.page):
                    raise DocumentError(
                        f"column {name} comes to more than {_allowed(min(bound.total, bound.page)):,} bytes when it is "
                        "unpacked",
                        where=path,
                        todo=_MORE,
                    )
    return largest


def _pages(handle: BinaryIO, size: int, chunk: pq.ColumnChunkMetaData) -> Iterator[int]:
    """Bytes that each page of a column chunk unpacks to, as its header says."""
    at, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset
    if dictionary is not None and 0 < dictionary < at:
        at = dictionary
    end = at + chunk.total_compressed_size
    if not 0 <= at <= end <= size:
        raise ValueError("a column is outside the file")
    while at < end:
        unpacked, packed, header = _page_header(handle, at, end)
        if unpacked < 0 or packed < 0 or at + header + packed > end:
            raise ValueError("a page is outside its column")
        yield unpacked
        at += header + packed


def _page_header(handle: BinaryIO, at: int, end: int) -> tuple[int, int, int]:
    """Bytes of a page unpacked and packed, and of its header."""
    for reach in (1 << 8, 1 << 14, 1 << 20):
        handle.seek(at)
        data = handle.read(min(reach, end - at))
        try:
            return _sizes(data)
        except IndexError:
            if len(data) < reach:
                break
    raise ValueError("a page without a readable header")


# ------------------------------------------------------------------------- Thrift's compact protocol, as far as needed
_DEEPEST = 8


def _sizes(data: bytes) -> tuple[int, int, int]:
    """Fields 2 and 3 of a `PageHeader`, and its length."""
    found: dict[int, int] = {}
    at = field = 0
    while kind := data[at] & 15:
        field, at = _field(data, at, field)
        if field in (2, 3) and kind == 5:
            value, at = _varint(data, at)
            found[field] = (value >> 1) ^ -(value & 1)
        else:
            at = _skipped(data, at, kind, 0)
    if len(found) < 2:
        raise ValueError("a page without a size")
    return found[2], found[3], at + 1


def _field(data: bytes, at: int, before: int) -> tuple[int, int]:
    """Number of the field whose header is at `at`, and where its value starts."""
    if step := data[at] >> 4:
        return before + step, at + 1
    value, at = _varint(data, at + 1)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number without an end")


def _skipped(data: bytes, at: int, kind: int, depth: int) -> int:
    """Where a value of this kind ends."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    match kind:
        case 1 | 2:  # a boolean: its value is in the field's header
            return at
        case 3:
            return at + 1
        case 4 | 5 | 6:
            return _varint(data, at)[1]
        case 7:
            return at + 8
        case 8:
            length, at = _varint(data, at)
            if length > len(data):
                raise IndexError
            return at + length
        case 9 | 10:
            return _list_skipped(data, at, depth)
        case 12:
            field = 0
            while inner := data[at] & 15:
                field, at = _field(data, at, field)
                at = _skipped(data, at, inner, depth + 1)
            return at + 1
    raise ValueError("an unexpected kind of value in a page header")


def _list_skipped(data: bytes, at: int, depth: int) -> int:
    count, kind = data[at] >> 4, data[at] & 15
    at += 1
    if count == 15:
        count, at = _varint(data, at)
    for _ in range(min(count, len(data))):
        at = at + 1 if kind in (1, 2) else _skipped(data, at, kind, depth + 1)
        if at > len(data):
            raise IndexError
    return at
