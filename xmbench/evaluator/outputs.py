"""The outputs of a submission: which ids it has, and the bytes of each, read on demand.

A submission is not trusted: only regular files inside its directory are read, and none that is larger than any output
of the track can be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xmbench.errors import DocumentError, SubmissionError
from xmbench.evaluator.output_table import read_ids, read_outputs
from xmbench.formats.document import ID_PATTERN, load_json
from xmbench.formats.submission import (
    OUTPUT_FOLDER,
    OUTPUT_PART,
    OUTPUT_TABLE,
    SUBMISSION_FILE,
    Submission,
    output_part,
    output_parts,
)
from xmbench.interfaces import SIDES, Direction, Modality, Task
from xmbench.printable import shown
from xmbench.storage.files import byte_limit, read_bytes

SUFFIXES: dict[Modality, tuple[str, ...]] = {"audio": (".wav", ".flac", ".npy"), "image": (".png", ".npy")}
TIMES_LENGTH = 32  # a sound of up to so many times the track's length is cut, not refused
_HEADERS = 1 << 16  # bytes of a sound that are not samples
_METADATA = 1 << 20  # bytes of an image that are not pixels: colour profiles, previews


def largest_output(task: Task, modality: Modality) -> int:
    """Bytes that one output may have, as a file and decoded; `$XMBENCH_MAX_BYTES` replaces it if it is set.

    A sound: 32 times the track's length in 64-bit samples. An image: sixteen bytes a value.
    """
    if modality == "audio":
        return byte_limit(TIMES_LENGTH * task.audio.samples * 8 + _HEADERS)
    size = task.image.height_px * task.image.width_px * task.image.channels
    return byte_limit(16 * size + _METADATA)


@dataclass(frozen=True, slots=True)
class RawOutput:
    """One output as submitted: its id, its extension (how to decode it) and its bytes, or why they cannot be read."""

    id: str
    suffix: str
    data: bytes
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the output of each id is.

    Attributes:
        folder: the submission.
        suffixes: file extensions that the track's kind of output allows; a table holds the first.
        largest: bytes that one output may have.
        found: id -> file name in `outputs/`, or row number in the table or tables.
        duplicates: ids with more than one output.
        foreign: entries of `outputs/` that are not outputs (other extension, name not an id), or rows of the tables.
    """

    folder: Path
    suffixes: tuple[str, ...]
    largest: int
    found: dict[str, str | int]
    duplicates: frozenset[str] = frozenset()
    foreign: tuple[str, ...] = ()
    _tables: tuple[Path, ...] = ()

    @property
    def is_table(self) -> bool:
        """Whether the outputs are in tables, not in files."""
        return bool(self._tables)

    @property
    def place(self) -> str:
        """Name of the directory or the table that holds the outputs; of the first of several tables."""
        return self._tables[0].name if self._tables else OUTPUT_FOLDER

    def read(self, ids: Sequence[str]) -> Iterator[RawOutput | None]:
        """One value per id, in order; None if it has no output or more than one.

        Raises:
            SubmissionError: a table is damaged.
        """
        wanted = self.found.keys() - self.duplicates
        if self._tables:
            for item_id, row in zip(ids, read_outputs(self._tables, ids, wanted, self.largest), strict=True):
                yield None if row is None else RawOutput(item_id, self.suffixes[0], *row)
            return
        for item_id in ids:
            yield self._file(item_id, str(self.found[item_id])) if item_id in wanted else None

    def _file(self, item_id: str, name: str) -> RawOutput:
        path = self.folder / OUTPUT_FOLDER / name
        if _leads_out(self.folder, path):
            return RawOutput(item_id, path.suffix.lower(), b"", "a link out of the submission; expected a file")
        try:
            return RawOutput(item_id, path.suffix.lower(), read_bytes(path, self.largest))
        except DocumentError as error:
            fault = f"{error.what}; expected {error.expected}" if error.expected else error.what
            return RawOutput(item_id, path.suffix.lower(), b"", fault)


def open_submission(folder: Path) -> Submission:
    """Reads `submission.json`.

    Raises:
        SubmissionError: the directory or the file does not exist, or is a link to another place.
        DocumentError: the file does not fit its schema.
    """
    path = folder / SUBMISSION_FILE
    if not os.path.lexists(path):
        raise SubmissionError(
            "no submission here",
            where=folder,
            expected=f"a directory with {SUBMISSION_FILE} and {OUTPUT_FOLDER}/",
            todo="see 'Submitting' in the README, or make one with `xmbench run-baseline`",
        )
    _refuse_link_out(folder, path)
    return load_json(path, Submission)


def find_outputs(folder: Path, direction: Direction, task: Task, items: int) -> Outputs:
    """Lists the outputs of a submission without decoding any.

    Args:
        folder: the submission.
        direction: of the track.
        task: of the data set; limits the size of an output.
        items: number of ids of the track; limits the rows of a table.

    Raises:
        SubmissionError: there are none, or two forms at once, or a table that is damaged or missing.
    """
    side = SIDES[direction].output
    suffixes, largest = SUFFIXES[side], largest_output(task, side)
    table, files = folder / OUTPUT_TABLE, folder / OUTPUT_FOLDER
    parts = _complete_parts(folder)
    there = [path for path in (table, files) if os.path.lexists(path)]
    if len(there) + bool(parts) > 1:
        raise SubmissionError(
            "outputs in two places",
            where=folder,
            expected=f"one of {OUTPUT_FOLDER}/, {OUTPUT_TABLE} and {output_part(0, len(parts) or 2)} ...",
            todo="remove the others",
        )
    for path in (*there, *parts):
        _refuse_link_out(folder, path)
    tables = (table,) if there == [table] else parts
    if tables:
        ids = read_ids(tables, items, largest)
        return Outputs(folder, suffixes, largest, {**ids.rows}, ids.duplicates, ids.foreign, tables)
    if files.is_dir():
        return _from_folder(folder, files, suffixes, largest)
    raise SubmissionError("no outputs", where=folder, expected=f"{OUTPUT_FOLDER}/<id>{suffixes[0]} or {OUTPUT_TABLE}")


def _complete_parts(folder: Path) -> tuple[Path, ...]:
    """The tables named as one of several, in order.

    Raises:
        SubmissionError: one is missing, or two divisions are mixed.
    """
    parts = output_parts(folder)
    counts = {int(found[2]) for path in parts if (found := OUTPUT_PART.match(path.name))}
    if len(counts) > 1:
        raise SubmissionError(
            f"tables of {len(counts)} divisions of the outputs are mixed",
            where=folder,
            problems=[path.name for path in parts],
            todo="keep those of one division, whose names end with the same number",
        )
    names = {path.name for path in parts}
    wanted = [output_part(i, count) for count in counts for i in range(count)]
    missing = [name for name in wanted if name not in names]
    if missing or len(wanted) < len(parts):
        raise SubmissionError(
            f"{len(missing):,} of {len(wanted):,} tables of outputs are missing" if missing else "too many tables",
            where=folder,
            problems=missing or sorted(names - set(wanted)),
            todo="copy every table of the submission, or generate the outputs again",
        )
    return tuple(parts)


def _from_folder(folder: Path, files: Path, suffixes: tuple[str, ...], largest: int) -> Outputs:
    found: dict[str, str | int] = {}
    duplicates, foreign = set(), []
    try:
        paths = sorted(files.iterdir())
    except OSError as error:
        raise SubmissionError(f"the outputs cannot be listed ({error.strerror})", where=files) from error
    for path in paths:
        if path.suffix.lower() not in suffixes or not re.fullmatch(ID_PATTERN, path.stem):
            foreign.append(shown(path.name))
        elif path.stem in found:
            duplicates.add(path.stem)
        else:
            found[path.stem] = path.name
    return Outputs(folder, suffixes, largest, found, frozenset(duplicates), tuple(foreign))


def _refuse_link_out(folder: Path, path: Path) -> None:
    if _leads_out(folder, path):
        raise SubmissionError(
            f"{path.name} is a link out of the submission",
            where=path,
            expected="files inside the submission's directory",
            todo="replace it with a copy of what it points to",
        )


def _leads_out(folder: Path, path: Path) -> bool:
    """Whether a path is a link to a place outside the directory."""
    if not path.is_symlink():
        return False
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
