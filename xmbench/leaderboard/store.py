"""The files under `leaderboards/`: loading all of them, with every problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xmbench.errors import DocumentError
from xmbench.formats.document import load_json
from xmbench.formats.result import ReportedResult, Result
from xmbench.leaderboard import audit
from xmbench.leaderboard import columns as of_items
from xmbench.leaderboard.columns import COLUMN_SUFFIX
from xmbench.leaderboard.places import REPORTED, is_result, place, slug
from xmbench.leaderboard.ranking import Column
from xmbench.leaderboard.remake import of_tool

FIRST_PROTOCOL = "xmbench-protocol/1"  # its boards have no columns


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything under `leaderboards/`.

    Attributes:
        columns: the primary metric of each item, by the digests of the results' per-item tables.
    """

    results: tuple[Result, ...]
    reported: tuple[ReportedResult, ...]
    columns: Mapping[str, Column] = field(default_factory=dict)


@dataclass(slots=True)
class _Read:
    """What was read, and what is wrong with it."""

    results: dict[Path, Result] = field(default_factory=dict)
    reported: list[ReportedResult] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def load(root: Path, *, metrics: bool = True) -> Loaded:
    """Every document under `root`, checked: paths, digests, numbers that must agree, duplicates, columns.

    Args:
        root: the directory of the leaderboards.
        metrics: also check bounds and floors against the metrics themselves; see `audit.problems`.

    Raises:
        DocumentError: all invalid files are listed.
    """
    loaded, problems = inspect(root, metrics=metrics)
    if problems:
        raise DocumentError("the leaderboards have invalid files", where=root, problems=problems)
    return loaded


def inspect(root: Path, *, metrics: bool = True, track: str = "*/*") -> tuple[Loaded, list[str]]:
    """As `load`, with the problems in place of an error: what is sound, and what is wrong.

    Args:
        root: the directory of the leaderboards.
        metrics: as in `load`.
        track: only this one.
    """
    read = _Read()
    for path in sorted(root.glob(f"{track}/*.json")):
        try:
            _read(root, path, read)
        except DocumentError as error:
            read.problems.append(f"{path}: {error.what}; {'; '.join(error.problems)}")
    for path, result in read.results.items():
        read.problems += [f"{path}: {problem}" for problem in audit.problems(result, metrics=metrics)]
        read.problems += _column(root, result, read)
    read.problems += audit.duplicates(list(read.results.values()))
    read.problems += _strays(root, track)
    found = Loaded(tuple(read.results.values()), tuple(read.reported), read.columns)
    return found, read.problems


def _read(root: Path, path: Path, read: _Read) -> None:
    if path.name.startswith(REPORTED):
        paper = load_json(path, ReportedResult)
        read.reported.append(paper)
        read.problems += _misplaced(path, root / paper.track / f"{REPORTED}{slug(paper.system)}.json")
    elif is_result(path):
        result = load_json(path, Result)
        wrong = _misplaced(path, place(root, result))
        read.problems += wrong
        if not wrong:
            read.results[path] = result
    else:
        told = "boards have no pairs; this file belongs with the results of protocol 1 in history/protocol-1"
        read.problems.append(f"{path}: {told}")


def _misplaced(path: Path, expected: Path) -> list[str]:
    return [] if path == expected else [f"{path}: its content belongs at {expected}"]


def _column(root: Path, result: Result, read: _Read) -> list[str]:
    """Reads the column of a result; returns what is wrong with it."""
    if result.protocol == FIRST_PROTOCOL:
        return []
    try:
        found = of_items.of(root, result)
        if found is None and (of_tool(result.submission) or of_items.column_place(root, result).is_file()):
            of_items.read(root, result)
    except DocumentError as error:
        return [f"{error.where or place(root, result)}: {error.what}"]
    if found is not None:
        read.columns[result.items_digest] = found
    return []


def _strays(root: Path, track: str) -> list[str]:
    """Columns without a result, which nothing would ever read."""
    wanted = {path.with_suffix(COLUMN_SUFFIX) for path in root.glob(f"{track}/*.json")}
    return [
        f"{path}: a column without a result; remove it"
        for path in sorted(root.glob(f"{track}/*{COLUMN_SUFFIX}"))
        if path not in wanted
    ]


def without(problems: Sequence[str], root: Path) -> set[str]:
    """The problems of `inspect` without the root in their paths: those of two copies can be compared."""
    return {problem.replace(f"{root}/", "") for problem in problems}
