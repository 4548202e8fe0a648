"""Outputs in one parquet table, or in several: which ids it has, and their bytes in any order, within bounds.

Repeated values are stored once in a dictionary of the file. They are read as a dictionary, so that a small file cannot
unpack to a large one. Rows whose id is needed later wait in memory, and beyond `WAITING_BYTES` in a temporary file.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pyarrow as pa

from xmbench.errors import DocumentError, SubmissionError
from xmbench.formats.document import ID_PATTERN
from xmbench.formats.tables import LARGEST_PAGE, Bound, Table, open_table, read_schema
from xmbench.printable import shown

COLUMNS = ("id", "bytes")
WAITING_BYTES = 1 << 26
MOST_LISTED = 1000
_EXPECTED = "a parquet file with columns id (string) and bytes (binary), once each"
_BATCH_ROWS = 64
_BATCH_IDS = 4096
_LONGEST_ID = 1024  # bytes; an id of a data set has some tens
_SLACK = 1 << 20


@dataclass(frozen=True, slots=True)
class TableIds:
    """Ids of the tables.

    Attributes:
        rows: id -> number of its row, counted over all tables.
        duplicates: ids with more than one row.
        foreign: rows whose id no data set can have, one line each.
    """

    rows: dict[str, int]
    duplicates: frozenset[str]
    foreign: tuple[str, ...]


@dataclass(slots=True)
class _Waiting:
    """Outputs that are needed later; identical bytes are kept once."""

    kept: dict[str, bytes] = field(default_factory=dict)
    size: int = 0
    file: IO[bytes] | None = None
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    known: dict[bytes, tuple[int, int]] = field(default_factory=dict)

    def put(self, item_id: str, data: bytes) -> None:
        if self.size + len(data) <= WAITING_BYTES:
            self.kept[item_id] = data
            self.size += len(data)
            return
        if self.file is None:
            self.file = tempfile.TemporaryFile(prefix="xmbench-outputs-")  # noqa: SIM115 (closed by `close`)
        digest = hashlib.sha256(data).digest()
        if digest not in self.known:
            self.known[digest] = (self.file.seek(0, 2), len(data))
            self.file.write(data)
        self.places[item_id] = self.known[digest]

    def pop(self, item_id: str) -> bytes:
        if item_id in self.kept:
            data = self.kept.pop(item_id)
            self.size -= len(data)
            return data
        at, length = self.places.pop(item_id)
        assert self.file is not None
        self.file.seek(at)
        return self.file.read(length)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self.kept or item_id in self.places

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def read_ids(paths: Sequence[Path], items: int, largest: int) -> TableIds:
    """Lists the ids of the tables of a submission, and checks that their outputs are within bounds.

    Args:
        paths: of the tables.
        items: ids of the track.
        largest: bytes that one output may have.

    Raises:
        SubmissionError: damaged, other columns, or far more rows or bytes than the track needs.
    """
    rows: dict[str, int] = {}
    again: Counter[str] = Counter()
    foreign: list[str] = []
    number = 0
    for path in paths:
        try:
            if wrong := _wrong_columns(read_schema(path)):
                raise SubmissionError(wrong, where=path, expected="columns id (string) and bytes (binary), once each")
            # Opened for as many items as the tables before it leave: many tables hold no more than one.
            for item_id in _ids(_opened(path, items, largest, COLUMNS, before=number)):
                if isinstance(item_id, str):
                    again[item_id] += item_id in rows
                    rows[item_id] = number
                elif len(foreign) <= MOST_LISTED:
                    foreign.append(_foreign_row(number, item_id))
                number += 1
        except DocumentError as error:
            raise _damaged(error) from error
    return TableIds(rows, frozenset(item for item, count in again.items() if count), tuple(foreign))


def read_outputs(
    paths: Sequence[Path], ids: Sequence[str], wanted: Collection[str], largest: int
) -> Iterator[tuple[bytes, str] | None]:
    """For each of `ids`, in their order: its bytes and their fault or ""; None for those not in `wanted`.

    Raises:
        SubmissionError: a table is damaged.
    """
    ahead = set(ids) & set(wanted)
    waiting = _Waiting()
    cursor = (row for path in paths for row in _rows(path, len(ids), largest))
    faults: dict[str, str] = {}
    try:
        for item_id in ids:
            if item_id not in ahead:
                yield None
                continue
            while item_id not in waiting:
                name, data, fault = next(cursor)
                if name in ahead:
                    waiting.put(name, data)
                    faults |= {name: fault} if fault else {}
            yield waiting.pop(item_id), faults.pop(item_id, "")
    except DocumentError as error:
        raise _damaged(error) from error
    except StopIteration as error:
        raise SubmissionError(
            "the table changed while it was read", where=paths[0], todo="run the command again"
        ) from error
    finally:
        waiting.close()


def _rows(path: Path, items: int, largest: int) -> Iterator[tuple[str, bytes, str]]:
    """Id, bytes and fault of each row with an id."""
    table = _opened(path, items, largest, COLUMNS)
    for batch in table.batches(_BATCH_ROWS):
        values = batch.column("bytes")
        for item_id, place in zip(_ids_of(batch.column("id")), _places(values), strict=True):
            if not isinstance(item_id, str):
                continue
            value = None if place is None else values.dictionary[place].as_buffer()
            if value is not None and value.size > largest:
                yield item_id, b"", f"{value.size:,} bytes; expected at most {largest:,}"
            else:
                yield item_id, b"" if value is None else value.to_pybytes(), ""


def _opened(path: Path, items: int, largest: int, columns: Sequence[str], before: int = 0) -> Table:
    # Some more rows than ids are read, so that they can be named; thousands more mean that it is another file.
    rows = max(0, 2 * items + MOST_LISTED - before)
    names = Bound(rows * _LONGEST_ID + _SLACK)
    bounds = {"id": names, "bytes": Bound(rows * largest + _SLACK, max(LARGEST_PAGE, 16 * largest))}
    return open_table(path, {name: bounds[name] for name in columns}, rows, dictionaries=columns)


def _ids(table: Table) -> Iterator[str | bytes | None]:
    for batch in table.batches(_BATCH_IDS, ["id"]):
        yield from _ids_of(batch.column(0))


def _ids_of(column: pa.DictionaryArray) -> Iterator[str | bytes | None]:
    """Text for an id that a data set can have, bytes for any other, None where there is none."""
    places = _places(column)
    names = column.dictionary.cast(pa.large_binary())
    known: dict[int, str | bytes] = {}
    for place in places:
        if place is None:
            yield None
            continue
        if place not in known:
            value = names[place].as_py()
            fits = len(value) <= _LONGEST_ID and re.fullmatch(ID_PATTERN.encode(), value)
            known[place] = value.decode("ascii") if fits else value
        yield known[place]


def _places(column: pa.DictionaryArray) -> list[int | None]:
    """Each row's index in the dictionary; a damaged file may point beyond it."""
    places: list[int | None] = column.indices.to_pylist()
    if any(place is not None and not 0 <= place < len(column.dictionary) for place in places):
        raise DocumentError("not a readable parquet file (a value is not in its dictionary)")
    return places


def _foreign_row(number: int, item_id: bytes | str | None) -> str:
    if item_id is None:
        return f"row {number}: no id"
    name = item_id if isinstance(item_id, str) else item_id[:500].decode("utf-8", "surrogateescape")
    return f"row {number}: the id '{shown(name)}' does not match {ID_PATTERN}"


def _wrong_columns(schema: pa.Schema) -> str:
    """What is wrong with the columns, or ""."""
    absent = [name for name in COLUMNS if name not in schema.names]
    if absent:
        return f"column {', '.join(absent)} missing"
    for name, fits in (("id", _is_text), ("bytes", _is_bytes)):
        found = [schema.field(i).type for i, known in enumerate(schema.names) if known == name]
        if len(found) > 1:
            return f"column {name} appears {len(found)} times"
        if not fits(found[0]):
            return f"column {name} is of type {shown(str(found[0]))}"
    return ""


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _damaged(error: DocumentError) -> SubmissionError:
    return SubmissionError(
        f"the table of outputs cannot be read: {error.what}",
        where=error.where,
        expected=error.expected or _EXPECTED,
        todo=error.todo or "write the file again",
    )
