"""A list of pairs, id,reference,output, one pair on each line: a line that cannot be used fails alone."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xmbench.errors import DocumentError, SubmissionError
from xmbench.printable import shown
from xmbench.storage.files import LARGEST_DOCUMENT, expanded, read_bytes

COLUMNS = ("id", "reference", "output")
_LONGEST_LINE = 1 << 14  # characters: two paths of the greatest length that a system allows
_EXPECTED = "a CSV file in UTF-8 with the columns id,reference,output and one pair on each line"


@dataclass(frozen=True, slots=True)
class Job:
    """One line of a list.

    Attributes:
        id: as written; `line 7` where the line has none.
        reference, output: files; None if the file does not exist.
        fault: why the line cannot be used, or "".
    """

    id: str
    reference: Path | None
    output: Path | None
    fault: str = ""


def read_list(path: Path) -> list[Job]:
    """Reads a CSV with columns id, reference, output; paths are relative to it or to the current directory.

    Raises:
        SubmissionError: not a readable list, missing columns, an id twice, or no usable line.
    """
    lines = _lines(path)
    header = [name.strip() for name in _cells(lines[0])[0]] if lines else []
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        other = next((mark for mark in (";", "\t", "|") if lines and {*COLUMNS} & {*lines[0].split(mark)}), "")
        raise SubmissionError(
            f"column {', '.join(missing)} missing",
            where=path,
            expected=_EXPECTED,
            todo=f"separate the columns by commas, not by {other!r}" if other else None,
        )
    jobs = [_job(path, number, line, header) for number, line in enumerate(lines[1:], start=2) if line.strip()]
    if not jobs:
        raise SubmissionError("the list has no rows", where=path, expected="one pair on each line below the header")
    counted = Counter(job.id for job in jobs)
    if problems := [f"the id '{shown(item)}' appears {n} times" for item, n in counted.items() if n > 1]:
        raise SubmissionError(
            "the list has an id twice", where=path, problems=problems, todo="fix these lines; nothing was scored"
        )
    if all(job.fault for job in jobs):
        raise SubmissionError(
            "the list names files that do not exist" if any(job.id for job in jobs) else "the list has no usable line",
            where=path,
            problems=[part for job in jobs for part in job.fault.split("; ")],
            expected="paths relative to the list or to the current directory",
            todo="fix these lines; nothing was scored",
        )
    return jobs


def _lines(path: Path) -> list[str]:
    """Lines of the list; a name that is not UTF-8 is kept as the operating system's functions keep it."""
    try:
        data = read_bytes(path, LARGEST_DOCUMENT)
    except DocumentError as error:
        raise SubmissionError(
            f"the list cannot be read ({error.what})", where=path, expected=error.expected or _EXPECTED, todo=error.todo
        ) from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:64].count(0) > 8:
        raise SubmissionError(
            "the list cannot be read (it is UTF-16 or UTF-32)", where=path, expected=_EXPECTED, todo="save it as UTF-8"
        )
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _cells(line: str) -> tuple[Sequence[str], str]:
    """The cells of one line, and what is wrong with it."""
    if len(line) > _LONGEST_LINE:
        return [], f"{len(line):,} characters, expected at most {_LONGEST_LINE:,}"
    try:
        return next(iter(csv.reader([line], strict=True)), []), ""
    except csv.Error as error:
        return [], f"not a line of a CSV file ({shown(str(error))})"


def _job(path: Path, number: int, line: str, header: Sequence[str]) -> Job:
    cells, fault = _cells(line)
    if fault:
        return Job(f"line {number}", None, None, f"line {number}: {fault}")
    if len(cells) < len(header):
        fault = f"line {number}: {len(cells)} columns, expected {len(header)}"
        return Job(f"line {number}", None, None, fault)
    row = dict(zip(reversed(header), reversed(cells[: len(header)]), strict=True))  # the first of two equal names
    reference, output = (_resolve(path, row[name]) for name in ("reference", "output"))
    problems = [
        f"line {number}: no file '{shown(row[name])}'"
        for name, found in (("reference", reference), ("output", output))
        if found is None
    ]
    return Job(row["id"], reference, output, "; ".join(problems))


def _resolve(listing: Path, name: str) -> Path | None:
    """The file that a name means; None if there is none. Its kind is checked when it is read."""
    try:
        return next((p for p in (listing.parent / name, expanded(name)) if name and p.exists()), None)
    except (OSError, ValueError, DocumentError):  # not a valid name, or no such home directory
        return None
