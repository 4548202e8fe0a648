"""The files under `leaderboards/`: adding a result, and loading all of them with every problem."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from xmbench.errors import DatasetError, DocumentError
from xmbench.evaluator.save import load_scored
from xmbench.formats.document import load_json
from xmbench.formats.result import ReportedResult, Result
from xmbench.leaderboard import audit
from xmbench.leaderboard.board import RANKED, installed, installed_track
from xmbench.leaderboard.entries import board_key, entries
from xmbench.leaderboard.pairs import (
    PAIRS_FILE,
    Column,
    Compared,
    Pairing,
    Pairs,
    column,
    forget,
    keep,
    kept_column,
    pair_up,
    write_pairs,
)
from xmbench.storage.files import make_folder, write_text

_REPORTED = "reported-"
_LONGEST_SLUG = 100  # a file name has at most 255 bytes, with its extension


@dataclass(frozen=True, slots=True)
class Loaded:
    """Everything under `leaderboards/`."""

    results: tuple[Result, ...]
    reported: tuple[ReportedResult, ...]
    compared: Compared


@dataclass(frozen=True, slots=True)
class Added:
    """A result that was added: its path, warnings, and the number of results that it was compared with."""

    path: Path
    warnings: tuple[str, ...]
    paired: int


def slug(name: str) -> str:
    """A system's name as a file name: `MT-Net (lite)` -> `mt-net-lite`.

    A name that gives an empty, too long or reserved file name gets its digest.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if plain and len(plain) <= _LONGEST_SLUG and _is_result(Path(f"{plain}.json")):
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return "-".join(filter(None, ("system", plain[:_LONGEST_SLUG], digest)))


def place(root: Path, result: Result) -> Path:
    """The path of a result: its track, its system, and the number of items if the build was limited.

    The first run of a system has the plain name; other seeds have names with the seed.
    """
    with_seed = _place(root, result, seeded=True)
    return with_seed if with_seed.is_file() else _place(root, result)


def _place(root: Path, result: Result, *, seeded: bool = False) -> Path:
    limit = f"--limit-{result.limit}" if result.limit else ""
    seed = f"--seed-{result.submission.seed}" if seeded else ""
    return root / result.track / f"{slug(result.submission.system)}{limit}{seed}.json"


def _target(root: Path, result: Result) -> Path:
    """The path for a new result: with its seed if another seed of the system has the plain name."""
    found = place(root, result)
    if not found.is_file():
        return found
    older, made = load_json(found, Result).submission, result.submission
    taken = older.system == made.system and None not in (older.seed, made.seed) and older.seed != made.seed
    return _place(root, result, seeded=True) if taken else found


def add(root: Path, source: Path) -> Added:
    """Adds a result to the boards, with its paired comparisons; replaces an older one of the same system and seed.

    Raises:
        DocumentError: the file is not a result, or cannot be on a board (local judge, missing metrics, numbers that do
            not agree); every reason is listed.
        DatasetError: its per-item table is missing or belongs to another result.
        OutputError: the directory cannot be written.
    """
    result = load_json(source, Result)
    items = items_of(source, result)
    recipe = installed({result.track.split("/")[0]}).get(result.track.split("/")[0])
    target = _target(root, result)
    found = [*dict.fromkeys((*audit.problems(result), *audit.outdated(result, recipe))), *_disagreeing(result, items)]
    if found:
        raise DocumentError("this result cannot be on a board", where=source, problems=found, todo=_TODO)
    warnings = _replaced(target, result)
    if not result.environment.commit or result.environment.commit.endswith("-dirty"):
        warnings.append("scored outside a clean commit: the code that made these numbers cannot be checked out")
    if installed_track(result, recipe) is None:
        warnings.append("its recipe is not the installed one: it is on a separate board")
    # Everything is read before anything is written: a damaged file anywhere leaves the boards as they were.
    there = [other for track in root.glob("*/*") for other in _results(track) if place(root, other) != target]
    others = [other for other in there if place(root, other).parent == target.parent]
    older = _read_pairs(target.parent / PAIRS_FILE)
    make_folder(target.parent)
    own = column(items, result.primary, result.scores[result.primary])
    pairs = _pairs(root, result, own, others) if own is not None else []
    write_text(target, result.to_json())
    write_pairs(target.with_name(PAIRS_FILE), result.track, [*older, *pairs], entries([*others, result]))
    forget(root, [*there, result])
    return Added(target, tuple(warnings), len(pairs))


_TODO = "score the submission again, with all metrics and without --local-judge: `xmbench score SUBMISSION`"


def items_of(source: Path, result: Result) -> pa.Table:
    """The per-item table of a result; raises DatasetError if it is missing or belongs to another result."""
    name = Path(result.items_table).name
    path = source.with_name(name or "(no table named)")
    if name != result.items_table or not path.is_file():
        raise DatasetError(
            "the result's per-item table is missing",
            where=path,
            expected="the table that `xmbench score` wrote with the result",
            todo="keep the two files together, or score the submission again",
        )
    return load_scored(source)[1]


def _disagreeing(result: Result, items: pa.Table) -> list[str]:
    """Scores that differ from the result's own per-item table."""
    found = []
    for name, score in result.scores.items():
        own = column(items, name, score)
        if own is not None and own.kept.any() and not own.counted.makes_up(score.value):
            found.append(f"{name}: {score.value}, but its per-item table gives {own.counted.mean}")
    return found


def _replaced(target: Path, result: Result) -> list[str]:
    """Warnings about an older result of the same name; raises DocumentError if it is another system's."""
    if not target.is_file():
        return []
    older, name = load_json(target, Result), result.submission.system
    if older.submission.system != name:
        raise DocumentError(
            f"the name {name!r} gives the same file as {older.submission.system!r}",
            where=target,
            todo="give the system another name in its submission.json, and score it again",
        )
    if older.outputs_digest == result.outputs_digest:
        return []
    return [f"it replaces a result of the same name with other outputs ({older.outputs_digest[:12]})"]


def _pairs(root: Path, result: Result, own: Column, others: Sequence[Result]) -> list[Pairing]:
    """The comparisons of the result's system, all its seeds together, with the others of its board."""
    keep(root, result, own)
    found = entries([other for other in (*others, result) if board_key(other) == board_key(result)])
    new = next(entry for entry in found if any(run is result for run in entry.runs))
    # Lower and upper bounds have no rank: their differences from each other decide nothing.
    ranked = result.submission.kind in RANKED
    rivals = [entry for entry in found if entry is not new and (ranked or entry.result.submission.kind in RANKED)]
    runs = [run for entry in (new, *rivals) for run in entry.runs]
    columns = {run.items_digest: kept for run in runs if (kept := kept_column(root, run)) is not None}
    return pair_up(new, rivals, columns)


def _read_pairs(path: Path) -> tuple[Pairing, ...]:
    return load_json(path, Pairs).pairs if path.is_file() else ()


def _results(folder: Path) -> list[Result]:
    return [load_json(path, Result) for path in sorted(folder.glob("*.json")) if _is_result(path)]


def _is_result(path: Path) -> bool:
    return path.name != PAIRS_FILE and not path.name.startswith(_REPORTED)


def load(root: Path, *, metrics: bool = True) -> Loaded:
    """Every document under `root`, checked: paths, digests, numbers that must agree, duplicates, pairings.

    Args:
        root: the directory of the leaderboards.
        metrics: also check bounds and floors against the metrics themselves; see `audit.problems`.

    Raises:
        DocumentError: all invalid files are listed.
    """
    problems: list[str] = []
    results: dict[Path, Result] = {}
    reported: list[ReportedResult] = []
    pairs: dict[Path, Pairs] = {}
    for path in sorted(root.glob("*/*/*.json")):
        try:
            if path.name == PAIRS_FILE:
                pairs[path] = load_json(path, Pairs)
            elif path.name.startswith(_REPORTED):
                paper = load_json(path, ReportedResult)
                reported.append(paper)
                problems += _misplaced(path, root / paper.track / f"{_REPORTED}{slug(paper.system)}.json")
            else:
                results[path] = load_json(path, Result)
                problems += _misplaced(path, place(root, results[path]))
        except DocumentError as error:
            problems.append(f"{path}: {error.what}; {'; '.join(error.problems)}")
    problems += _contradictions(root, results, pairs, metrics)
    if problems:
        raise DocumentError("the leaderboards have invalid files", where=root, problems=problems)
    known = Compared.of(pair for document in pairs.values() for pair in document.pairs)
    return Loaded(tuple(results.values()), tuple(reported), known)


def _misplaced(path: Path, expected: Path) -> list[str]:
    return [] if path == expected else [f"{path}: its content belongs at {expected}"]


def _contradictions(root: Path, results: dict[Path, Result], pairs: dict[Path, Pairs], metrics: bool) -> list[str]:
    found = [
        f"{path}: {problem}" for path, result in results.items() for problem in audit.problems(result, metrics=metrics)
    ]
    found += audit.duplicates(list(results.values()))
    for path, document in pairs.items():
        found += _misplaced(path, root / document.track / PAIRS_FILE)
        own = [result for result in results.values() if result.track == document.track]
        found += [f"{path}: {problem}" for problem in audit.pairings(document.pairs, own)]
    return found
