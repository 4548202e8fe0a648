"""The outputs of a submission: which ids are there, and the bytes of each, read when asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xmbench.errors import SubmissionError
from xmbench.formats.document import ID_PATTERN, load_json
from xmbench.formats.submission import OUTPUT_FOLDER, OUTPUT_TABLE, SUBMISSION_FILE, Submission
from xmbench.interfaces import SIDES, Direction, Modality

SUFFIXES: dict[Modality, tuple[str, ...]] = {"audio": (".wav", ".flac", ".npy"), "image": (".png", ".npy")}
_BATCH_ROWS = 64


@dataclass(frozen=True, slots=True)
class RawOutput:
    """One output as submitted: its id, its suffix (how to decode it) and its bytes, or why they cannot be read."""

    id: str
    suffix: str
    data: bytes
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """`outputs.parquet`, whose ids are known: the footer and the ids of its rows need not be read again."""

    path: Path
    metadata: pq.FileMetaData
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where each id's output stands.

    Attributes:
        folder: the submission.
        suffixes: suffixes that the track's kind of output allows; a table holds the first.
        found: id -> file name in `outputs/`, or row number in `outputs.parquet`.
        duplicates: ids with more than one output.
        strangers: entries of `outputs/` that are no output (other suffix, or a name that is no id).
    """

    folder: Path
    suffixes: tuple[str, ...]
    found: dict[str, str | int]
    duplicates: frozenset[str] = frozenset()
    strangers: tuple[str, ...] = ()
    _table: Table | None = field(default=None)

    def read(self, ids: Iterable[str]) -> Iterator[RawOutput | None]:
        """One value per id, in order; None where there is no single, readable file.

        Raises:
            SubmissionError: `outputs.parquet` is damaged.
        """
        if self._table is not None:
            yield from self._read_table(self._table, ids)
            return
        for item_id in ids:
            name = self.found.get(item_id)
            if name is None or item_id in self.duplicates:
                yield None
                continue
            path = self.folder / OUTPUT_FOLDER / str(name)
            try:
                data, fault = path.read_bytes(), ""
            except OSError as error:
                data, fault = b"", f"the file cannot be read ({error.strerror})"
            yield RawOutput(item_id, path.suffix.lower(), data, fault)

    def _read_table(self, table: Table, ids: Iterable[str]) -> Iterator[RawOutput | None]:
        """Streams the table beside the ids; rows that stand in another order wait in memory for their id."""
        cursor = zip(table.ids, _bytes(table), strict=True)
        here = next(cursor, None)
        held: dict[str, bytes] = {}
        for item_id in ids:
            if item_id not in self.found or item_id in self.duplicates:
                yield None
                continue
            while item_id not in held and here is not None:
                held[here[0]] = here[1]
                here = next(cursor, None)
            yield RawOutput(item_id, self.suffixes[0], held.pop(item_id))


def open_submission(folder: Path) -> Submission:
    """Reads `submission.json`.

    Raises:
        SubmissionError: the folder or the file is not there.
        DocumentError: the file does not fit its schema.
    """
    path = folder / SUBMISSION_FILE
    if not path.is_file():
        raise SubmissionError(
            "no submission here",
            where=folder,
            expected=f"a folder with {SUBMISSION_FILE} and {OUTPUT_FOLDER}/",
            todo="see 'Submitting' in the README, or make one with `xmbench run-baseline`",
        )
    return load_json(path, Submission)


def find_outputs(folder: Path, direction: Direction) -> Outputs:
    """Lists the outputs of a submission without decoding any.

    Raises:
        SubmissionError: there are none, or both forms at once, or a damaged table.
    """
    suffixes = SUFFIXES[SIDES[direction].output]
    table, files = folder / OUTPUT_TABLE, folder / OUTPUT_FOLDER
    if table.exists() and files.exists():
        raise SubmissionError(
            "outputs in two places",
            where=folder,
            expected=f"either {OUTPUT_FOLDER}/ or {OUTPUT_TABLE}",
            todo="remove the one that is not meant",
        )
    if table.is_file():
        return _from_table(folder, table, suffixes)
    if files.is_dir():
        return _from_folder(folder, files, suffixes)
    raise SubmissionError("no outputs", where=folder, expected=f"{OUTPUT_FOLDER}/<id>{suffixes[0]} or {OUTPUT_TABLE}")


def _from_folder(folder: Path, files: Path, suffixes: tuple[str, ...]) -> Outputs:
    found: dict[str, str | int] = {}
    duplicates, strangers = set(), []
    for path in sorted(files.iterdir()):
        if path.suffix.lower() not in suffixes or not re.match(ID_PATTERN, path.stem):
            strangers.append(path.name)
        elif path.stem in found:
            duplicates.add(path.stem)
        else:
            found[path.stem] = path.name
    return Outputs(folder, suffixes, found, frozenset(duplicates), tuple(strangers))


def _from_table(folder: Path, table: Path, suffixes: tuple[str, ...]) -> Outputs:
    try:
        with pq.ParquetFile(table) as file:
            schema, metadata = file.schema_arrow, file.metadata
            _refuse_columns(table, schema)
            ids = tuple(str(item_id) for item_id in file.read(columns=["id"]).column("id").to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise _damaged(table, error) from error
    duplicates = frozenset(name for name, count in Counter(ids).items() if count > 1)
    found: dict[str, str | int] = {item_id: row for row, item_id in enumerate(ids)}
    return Outputs(folder, suffixes, found, duplicates, (), Table(table, metadata, ids))


def _refuse_columns(table: Path, schema: pa.Schema) -> None:
    missing = [name for name in ("id", "bytes") if name not in schema.names]
    wrong = f"column {', '.join(missing)} missing" if missing else _wrong_types(schema)
    if wrong:
        raise SubmissionError(wrong, where=table, expected="columns id (string) and bytes (binary), once each")


def _wrong_types(schema: pa.Schema) -> str:
    """What is wrong with the columns' types, or an empty text."""
    for name, fits in (("id", _is_text), ("bytes", _is_bytes)):
        found = [schema.field(i).type for i, known in enumerate(schema.names) if known == name]
        if len(found) > 1:
            return f"column {name} stands there {len(found)} times"
        if not fits(found[0]):
            return f"column {name} is of type {found[0]}"
    return ""


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _bytes(table: Table) -> Iterator[bytes]:
    """Each row's output, in the order of the table's ids."""
    try:
        with pq.ParquetFile(table.path, metadata=table.metadata) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=["bytes"]):
                yield from (value or b"" for value in batch.column(0).to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise _damaged(table.path, error) from error


def _damaged(table: Path, error: Exception) -> SubmissionError:
    return SubmissionError(
        f"the table cannot be read ({str(error)[:200]})",
        where=table,
        expected="a parquet file with columns id (string) and bytes (binary)",
        todo="write the file again",
    )
