"""Adding a result to a board: every reason against it is found before any file changes.

A result enters as self-reported, whatever its file says. Its scores and intervals are recomputed from its per-item
table, its name must be nobody else's, its outputs nobody else's, and rows that are no systems are made again. The new
files are tried on a copy of the board first.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from xmbench.errors import DatasetError, DocumentError
from xmbench.evaluator.recompute import disagreements
from xmbench.evaluator.save import load_scored
from xmbench.execution.progress import silent
from xmbench.formats import tracks
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.recipe import Recipe
from xmbench.formats.result import Result
from xmbench.leaderboard import audit, columns, facts, names, remake
from xmbench.leaderboard.board import installed_track
from xmbench.leaderboard.entries import board_key, system_key
from xmbench.leaderboard.likeness import MOST_ALIKE, NEARLY, copied, same_values
from xmbench.leaderboard.places import is_result, items_place, place, plain_place, seeded_place
from xmbench.leaderboard.store import inspect, without
from xmbench.storage.files import make_folder, writing

_TODO = "score the submission again, with all metrics and without --local-judge: `xmbench score SUBMISSION`"


@dataclass(frozen=True, slots=True)
class Added:
    """A result that was added: its path, warnings, and the number of results that it is compared with item by item."""

    path: Path
    warnings: tuple[str, ...]
    paired: int


@dataclass(frozen=True, slots=True)
class _Newcomer:
    """A result on its way to a board.

    Attributes:
        there: the sound results of all boards.
        damaged: what is wrong with the others.
    """

    root: Path
    result: Result
    items: pa.Table
    target: Path
    there: Mapping[Path, Result]
    damaged: tuple[str, ...]

    @property
    def others(self) -> dict[Path, Result]:
        """The results of its track, without the one that it replaces."""
        return {
            path: other
            for path, other in self.there.items()
            if path != self.target and path.parent == self.target.parent
        }


def add(
    root: Path,
    source: Path,
    *,
    replace: bool = False,
    dataset: Dataset | None = None,
    made_here: bool = False,
    progress: Callable[[str], None] = silent,
) -> Added:
    """Adds a result to the boards, with the values of its items.

    Args:
        root: the directory of the leaderboards.
        source: the result, with its per-item table beside it.
        replace: take the place of a result of the same system.
        dataset: what it was made for: its items are compared, and rows that are no systems are made again. Without
            it such rows are refused.
        made_here: this process has just made the outputs of such a row, and they need not be made again.
        progress: gets lines of progress.

    Raises:
        DocumentError: the file is not a result, or cannot be on a board; every reason is listed.
        DatasetError: its per-item table is missing or belongs to another result.
        OutputError: the directory cannot be written.
    """
    result = _self_reported(load_json(source, Result))
    items = items_of(source, result)
    there, damaged = _readable(root)
    new = _Newcomer(root, result, items, _target(root, result, there), there, damaged)
    recipe = tracks.installed(result.track.split("/")[0])
    found = [*_claims(result, items, recipe), *facts.of_other_data(result, items, dataset), *_items_of_board(new)]
    found += facts.of_other_rows(result, list(new.others.values()), recipe)
    if not found and _is_there(new):
        return Added(new.target, (f"{new.target.name} is on the board already: nothing was changed",), _paired(new))
    found = [*_identity(new, replace), *found]
    made = remake.of_tool(result.submission)
    if made:
        found += remake.undeclarable(result.submission)
    found += _copies(new)
    if made and not found and not made_here:  # minutes: last
        found += remake.not_remade(result, dataset, progress)
    if found:
        raise DocumentError("this result cannot be on a board", where=source, problems=found, todo=_TODO)
    files = _files(new, made)
    _try(new, files)
    _write(files, new.target.with_suffix(columns.COLUMN_SUFFIX))
    return Added(new.target, _warnings(new, recipe), _paired(new))


def _self_reported(result: Result) -> Result:
    """The result without what only `leaderboard verify` gives it."""
    return result.model_copy(update={"status": "self-reported", "verified": None})


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


def _readable(root: Path) -> tuple[dict[Path, Result], tuple[str, ...]]:
    """Every result that can be read, and what is wrong with the other files: they block nothing."""
    found, damaged = {}, []
    for path in sorted(root.glob("*/*/*.json")):
        if not is_result(path):
            continue
        try:
            found[path] = load_json(path, Result)
        except DocumentError as error:
            damaged.append(f"{path}: {error.what}")
    return found, tuple(damaged)


def _target(root: Path, result: Result, there: Mapping[Path, Result]) -> Path:
    """The path for a new result: with its seed if another seed of the system has the plain name."""
    found = place(root, result)
    older = there.get(found)
    if older is None or found == seeded_place(root, result):
        return found
    seeds = (older.submission.seed, result.submission.seed)
    taken = _one_system(older, result) and None not in seeds and seeds[0] != seeds[1]
    return seeded_place(root, result) if taken else plain_place(root, result)


def _one_system(a: Result, b: Result) -> bool:
    return (board_key(a), system_key(a)) == (board_key(b), system_key(b))


def _is_there(new: _Newcomer) -> bool:
    """Whether the board has this very result, verified or not."""
    older = new.there.get(new.target)
    if older is None:
        return False
    return _self_reported(older) == new.result


def _identity(new: _Newcomer, replace: bool) -> list[str]:
    """What is wrong with the name: unreadable, another system's, or taken."""
    made, older = new.result.submission, new.there.get(new.target)
    found = names.problems(made.system)
    others = {other.submission.system for other in new.there.values()}
    found += [f"the name {made.system!r} looks like {other!r}" for other in names.confusable(made.system, others)]
    if baseline := names.reserved(made):
        found.append(f"the name {made.system!r} is that of the baseline {baseline}, and this is another system")
    if new.target.exists() and older is None:
        found.append(f"{new.target} cannot be read: remove it first")
    if older is not None and older.submission.system != made.system:
        found.append(f"the name {made.system!r} gives the same file as {older.submission.system!r}")
    elif older is not None and not replace:
        found.append(f"{made.system!r} is on this board already: use --replace, or another name or seed")
    return found + [
        f"{made.system!r} is on this board already, as {path.name}"
        for path, other in new.others.items()
        if other.submission.system == made.system
        and board_key(other) == board_key(new.result)
        and not (_one_system(other, new.result) and None not in (other.submission.seed, made.seed))
    ]


def _claims(result: Result, items: pa.Table, recipe: Recipe | None) -> list[str]:
    """Whatever in a result contradicts itself, its track or its per-item table."""
    found = [*audit.problems(result), *audit.outdated(result, recipe), *audit.foreign(result, items)]
    return [*dict.fromkeys(found), *facts.misstated(result, items, recipe), *disagreements(result, items)]


def _items_of_board(new: _Newcomer) -> list[str]:
    """Items that are not those of the other results of the same data set."""
    if _has_items(new) is not False:
        return []
    path = items_place(new.root, new.result)
    return [
        "its per-item table has other ids, labels or groups than the results of the same data set on this board "
        f"({path.name}); if that file is wrong, `xmbench leaderboard verify --all` names its results: remove them"
    ]


def _has_items(new: _Newcomer) -> bool | None:
    """Whether the items of its data set here are those of the result; None where they are missing or damaged."""
    try:
        known = columns.read_items(new.root, new.result)
    except DocumentError:
        return None
    return columns.items_digest(known) == columns.items_digest(new.items)


def _copies(new: _Newcomer) -> list[str]:
    """Rows that the tool made, and whose outputs these are."""
    return [
        f"it cannot be told from {other.submission.system!r} ({place(new.root, other).name}): {reason}; "
        'a system that plays or shows stored items is of kind "retrieval"'
        for other, reason in copied(new.root, new.result, new.items, new.others.values())
    ]


def _nearly_copies(new: _Newcomer) -> list[str]:
    """Rows that the tool made, and whose outputs these nearly are: learned by heart, or played with a hiss."""
    return [
        f"nearly {other.submission.system!r} ({place(new.root, other).name}): {reason}; "
        "a network may have learned its clips by heart, or clips may be played with a change: read how it was made"
        for other, reason in copied(new.root, new.result, new.items, new.others.values(), NEARLY)
    ]


def _hardly_changed(new: _Newcomer) -> list[str]:
    """Rows of systems, or other seeds of its own, with the same values: whose outputs they are shows only in them."""
    found = []
    for other in new.others.values():
        if other.dataset_digest != new.result.dataset_digest or remake.of_tool(other.submission):
            continue
        try:
            share = same_values(new.result, new.items, columns.read(new.root, other))
        except DocumentError:  # named by `inspect`, or a distribution without such values
            continue
        if share > MOST_ALIKE:
            seed = "" if other.submission.seed is None else f" (seed {other.submission.seed})"
            found.append(
                f"{share:.0%} of its outputs have the same {new.result.primary} as those of "
                f"{other.submission.system!r}{seed}: compare the outputs before you verify it"
            )
    return found


def _files(new: _Newcomer, made: bool) -> dict[Path, bytes]:
    """The files of a result, the document last."""
    files = {} if _has_items(new) else {items_place(new.root, new.result): columns.made_items(new.items)}
    column = columns.made_column(new.result, new.items, every=made)
    if column is not None:
        files[new.target.with_suffix(columns.COLUMN_SUFFIX)] = column
    return {**files, new.target: new.result.to_json().encode()}


def _try(new: _Newcomer, files: Mapping[Path, bytes]) -> None:
    """Loads a copy of the track with the new files; raises DocumentError for every problem that they cause."""
    track = new.target.parent
    with tempfile.TemporaryDirectory(prefix="xmbench-board-") as folder:
        copy = Path(folder)
        before: set[str] = set()
        if track.is_dir():
            before = without(inspect(new.root, track=new.result.track)[1], new.root)
            shutil.copytree(track, copy / new.result.track, ignore=shutil.ignore_patterns(".*", "*.html"))
        for path, data in files.items():
            made = copy / path.relative_to(new.root)
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_bytes(data)
        after = without(inspect(copy, track=new.result.track)[1], copy)
    if found := sorted(after - before):
        raise DocumentError("the board would not be valid with this result", where=new.target, problems=found)


def _write(files: Mapping[Path, bytes], column: Path) -> None:
    """Writes all of the files or none of them."""
    folder = make_folder(column.parent)
    with writing(folder), tempfile.TemporaryDirectory(dir=folder, prefix=".add-") as place_for:
        waiting = {path: Path(place_for) / path.name for path in files}
        for path, data in files.items():
            with waiting[path].open("wb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
        for path, temporary in waiting.items():
            temporary.replace(path)
        if column not in files:
            column.unlink(missing_ok=True)


def _warnings(new: _Newcomer, recipe: Recipe | None) -> tuple[str, ...]:
    result, older = new.result, new.there.get(new.target)
    found = [f"left as it is: {problem}" for problem in new.damaged]
    if older is not None and older.outputs_digest != result.outputs_digest:
        found.append(f"it replaces a result of the same name with other outputs ({older.outputs_digest[:12]})")
    if older is not None and older.submission.authors != result.submission.authors:
        by, now = (", ".join(made.authors) or "nobody" for made in (older.submission, result.submission))
        found.append(f"the row that it replaces is by {by}, and this one by {now}")
    seeds = [other for other in new.others.values() if _one_system(other, result)]
    if seeds:
        found.append(f"it joins the row of {result.submission.system!r} as another seed")
    found += [*_hardly_changed(new), *_nearly_copies(new)]
    if not result.environment.commit or result.environment.commit.endswith("-dirty"):
        found.append("scored outside a clean commit: the code that made these numbers cannot be checked out")
    if installed_track(result, recipe) is None:
        found.append("its recipe is not the installed one: it is on a separate board")
    return tuple(found)


def _paired(new: _Newcomer) -> int:
    """How many other results of its board have the values of the same items."""
    if not columns.has_column(new.result):
        return 0
    same = [other for other in new.others.values() if board_key(other) == board_key(new.result)]
    return sum(columns.column_place(new.root, other).is_file() for other in same)
