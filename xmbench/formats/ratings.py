"""Ratings: what people say of outputs, as plain CSV files that any survey tool writes.

One row is one rating: `rater,system,id,score`, and `aspect` where several things were asked. Instead of `system` a file
may have `outputs_digest`, which names one result where two have the same name. Other columns are not read.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xmbench.errors import DocumentError
from xmbench.printable import shown
from xmbench.storage.files import LARGEST_DOCUMENT, read_bytes

REQUIRED = ("rater", "id", "score")
NAMES_SYSTEM = ("system", "outputs_digest")
MOST_FILES = 1_000
MOST_RATINGS = 1_000_000
MOST_PROBLEMS = 1_000  # more are of one kind: a wrong file
_LONGEST_CELL = 1_024
_EXPECTED = "CSV files in UTF-8 with the columns rater,system,id,score (system or outputs_digest; aspect may be added)"


@dataclass(frozen=True, slots=True)
class Scale:
    """The lowest and the highest score that a rater could give."""

    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        """`0..3`, or `free`."""
        return "free" if math.isinf(self.low) else f"{self.low:g}..{self.high:g}"


@dataclass(frozen=True, slots=True)
class Rating:
    """One score by one rater.

    Attributes:
        system: the system's name, or the digest of its outputs, as `by_digest` says.
        aspect: what was rated; "" where only one thing was.
        where: file and line.
    """

    rater: str
    system: str
    id: str
    aspect: str
    score: float
    by_digest: bool
    where: str


def parse_scale(text: str) -> Scale:
    """Reads `0..3` or `free`.

    Raises:
        DocumentError: neither.
    """
    if text == "free":
        return Scale()
    low, dots, high = text.partition("..")
    try:
        found = Scale(float(low), float(high))
    except ValueError:
        found = Scale(math.nan, math.nan)
    if not (dots and found.low < found.high and math.isfinite(found.low) and math.isfinite(found.high)):
        raise DocumentError("not a scale", where=shown(text, 80), expected="like 0..3, or free")
    return found


def read_ratings(folder: Path, scale: Scale) -> tuple[list[Rating], list[str]]:
    """Every rating in the CSV files of a directory, in the order of the files' names, and every problem of a row.

    Raises:
        DocumentError: no such directory or no CSV file in it, or one that is not a list of ratings.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv")
    except OSError as error:
        raise DocumentError(
            f"the directory of ratings cannot be read ({error.strerror})", where=folder, expected=_EXPECTED
        ) from error
    if not paths or len(paths) > MOST_FILES:
        what = f"{len(paths):,} CSV files" if paths else "no CSV file here"
        raise DocumentError(what, where=folder, expected=f"{_EXPECTED}, at most {MOST_FILES:,} of them")
    ratings: list[Rating] = []
    problems: list[str] = []
    known: dict[tuple[str, str, str, str], str] = {}
    for path in paths:
        for found in _file(path, scale):
            if isinstance(found, str):
                problems.append(found)
            elif before := known.get(key := (found.rater, found.system, found.id, found.aspect)):
                problems.append(f"{found.where}: the same rater has rated this already in {before}")
            else:
                known[key] = found.where
                ratings.append(found)
            if len(ratings) > MOST_RATINGS or len(problems) >= MOST_PROBLEMS:
                return ratings, [*problems, f"{found if isinstance(found, str) else found.where}: too many to go on"]
    return ratings, problems


def _file(path: Path, scale: Scale) -> Iterator[Rating | str]:
    """Ratings of a file, and problems of its rows."""
    lines = _text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rows = csv.reader(lines, strict=True)
    header: list[str] = []
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            yield f"{path.name}:{rows.line_num}: not a line of a CSV file ({shown(str(error))})"
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = _header(path, cells)
            continue
        yield _row(f"{path.name}:{rows.line_num}", header, cells, scale)
    if not header:
        raise DocumentError("the file is empty", where=path, expected=_EXPECTED)


def _header(path: Path, cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    missing = [name for name in REQUIRED if name not in names]
    own = [name for name in NAMES_SYSTEM if name in names]
    problems = [f"column {name} missing" for name in missing]
    problems += [] if own else ["column system missing"]
    problems += [f"column {name} twice" for name in dict.fromkeys(names) if name and names.count(name) > 1]
    if problems:
        other = next((mark for mark in (";", "\t", "|") if any(mark in name for name in names)), "")
        raise DocumentError(
            "not a list of ratings",
            where=path,
            problems=problems,
            expected=_EXPECTED,
            todo=f"separate the columns by commas, not by {other!r}" if other else None,
        )
    return names


def _row(where: str, header: Sequence[str], cells: Sequence[str], scale: Scale) -> Rating | str:
    """A rating, or what is wrong with the row."""
    if len(cells) != len(header):
        return f"{where}: {len(cells)} columns, expected {len(header)}"
    row: Mapping[str, str] = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    if long := next((name for name, cell in row.items() if len(cell) > _LONGEST_CELL), ""):
        return f"{where}: {shown(long)} has {len(row[long]):,} characters, expected at most {_LONGEST_CELL:,}"
    by_digest = bool(row.get("outputs_digest"))
    system = row["outputs_digest"] if by_digest else row.get("system", "")
    if empty := [name for name, cell in (("rater", row["rater"]), ("system", system), ("id", row["id"])) if not cell]:
        return f"{where}: no {' and no '.join(empty)}"
    try:
        score = float(row["score"])
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        return f"{where}: the score '{shown(row['score'], 40)}' is not a number"
    if not scale.low <= score <= scale.high:
        return f"{where}: the score {score:g} is not within {scale}"
    return Rating(row["rater"], system, row["id"], row.get("aspect", ""), score, by_digest, where)


def _text(path: Path) -> str:
    data = read_bytes(path, LARGEST_DOCUMENT)
    try:
        if b"\0" in data[:4096]:
            raise UnicodeError("UTF-16 or UTF-32, or no text")
        return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except UnicodeError as error:
        raise DocumentError(
            f"the file is not text in UTF-8 ({shown(str(error), 120)})",
            where=path,
            expected=_EXPECTED,
            todo="save it as UTF-8",
        ) from error
