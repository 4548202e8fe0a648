"""The maintainers' check of a board: every result is scored again from its published outputs.

A result is found by the digest of its outputs among the submissions of a directory; a row that the tool made is made
again where no submission is there. If everything agrees, the board's file gets the status "verified" with a record of
who found that, with which code, on which machine. The mark is a line of a file: its proof is to run this again.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from xmbench.errors import DatasetError, DocumentError, UnknownNameError, XmbenchError, nearest
from xmbench.evaluator.check import OpenedSubmission, open_checked
from xmbench.evaluator.environment import environment
from xmbench.evaluator.outputs import open_submission
from xmbench.evaluator.outputs_digest import outputs_digest
from xmbench.evaluator.verify import verify as score_again
from xmbench.execution.progress import silent
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.layout import MANIFEST_FILE
from xmbench.formats.result import Result, Verified
from xmbench.formats.submission import SUBMISSION_FILE
from xmbench.leaderboard import columns, remake
from xmbench.leaderboard.likeness import copied
from xmbench.leaderboard.places import place
from xmbench.leaderboard.store import inspect
from xmbench.storage.files import write_text


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found about one result of a board.

    Attributes:
        path: of the result.
        source: the submission that it was scored again from; "made again" for a row of the tool; "" for none.
        differences: every reason why it is not verified; empty if it is.
        notes: differences between the two machines and versions, which are not errors.
        marked: whether the file's status was written.
    """

    path: Path
    system: str
    source: str
    differences: tuple[str, ...]
    notes: tuple[str, ...] = ()
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """How results are scored again.

    Attributes:
        submissions: the directory with the submissions, at any depth; None for none.
        data: a data set, or a directory of data sets.
        workers: processes.
        tolerance: as in `evaluator.verify`.
        command: recorded in the results.
        write: write the status into the results that agree.
        progress: gets lines of progress.
    """

    submissions: Path | None
    data: Path
    workers: int = 1
    tolerance: float = 0.0
    command: str = ""
    write: bool = True
    progress: Callable[[str], None] = silent


@dataclass(slots=True)
class _Found:
    """The submissions of a directory; their digests are computed when they are asked for."""

    folders: dict[tuple[str, str], list[Path]] = field(default_factory=dict)
    digests: dict[Path, str] = field(default_factory=dict)


def verify(root: Path, names: Sequence[str], options: Options) -> Iterator[Checked]:
    """Scores results of a board again, one after the other.

    Args:
        root: the directory of the leaderboards.
        names: of systems, or of files without `.json`; empty for every result.
        options: where outputs and data are.

    Raises:
        DocumentError: invalid files under `root`; all of them are listed.
        UnknownNameError: no result of that name.
    """
    loaded, problems = inspect(root)
    if problems:
        raise DocumentError("the leaderboards have invalid files", where=root, problems=problems)
    chosen = _chosen(root, loaded.results, names)
    found = _submissions(options.submissions)
    for result in chosen:
        options.progress(f"{result.submission.system} ({result.track})")
        yield _checked(root, result, loaded.results, found, options)


def _chosen(root: Path, results: Sequence[Result], names: Sequence[str]) -> list[Result]:
    known: dict[str, list[Result]] = {}
    for result in results:
        for name in {result.submission.system, place(root, result).stem}:
            known.setdefault(name, []).append(result)
    for name in names:
        if name not in known:
            raise UnknownNameError(f"no result is called '{name}'", where=root, expected=nearest(name, known))
    if not names:
        return list(results)
    wanted = {id(result) for name in names for result in known[name]}
    return [result for result in results if id(result) in wanted]


def _submissions(folder: Path | None) -> _Found:
    """Every submission below a directory, by track and data set; what cannot be read belongs to no result."""
    found = _Found()
    for path in sorted(folder.rglob(SUBMISSION_FILE)) if folder is not None else ():
        try:
            made = open_submission(path.parent)
        except XmbenchError:
            continue
        found.folders.setdefault((made.track, made.dataset_digest), []).append(path.parent)
    return found


def _checked(root: Path, result: Result, every: Sequence[Result], found: _Found, options: Options) -> Checked:
    path = place(root, result)
    try:
        dataset = _dataset(options.data, result)
        with _outputs(result, dataset, found, options) as (opened, source):
            done = score_again(path, opened, dataset, workers=options.workers, tolerance=options.tolerance)
    except XmbenchError as error:
        return Checked(path, result.submission.system, "", (error.what, *error.problems))
    items = list(_item_differences(root, result, done.items, options.tolerance))
    # Within the tolerance the values of the items need not be equal, and their digest is another one.
    near = options.tolerance > 0.0 and not items and columns.has_column(result)
    differences = [str(one) for one in done.differences if not (near and one.field == "items_digest")] + items
    differences += [
        f"it cannot be told from {other.submission.system!r}: {reason}"
        for other, reason in copied(root, result, done.items, every)
    ]
    marked = not differences and options.write
    if marked:
        mark(path, result, options.command)
    return Checked(path, result.submission.system, source, tuple(differences), done.notes, marked)


def _dataset(data: Path, result: Result) -> Dataset:
    """The data set of a result: `data` itself, or one in it; raises DatasetError if it is not there."""
    for path in [data / MANIFEST_FILE, *sorted(data.glob(f"*/{MANIFEST_FILE}"))]:
        if path.is_file():
            try:
                dataset = open_dataset(path.parent)
            except XmbenchError:
                continue
            if dataset.digest == result.dataset_digest:
                return dataset
    raise DatasetError(f"its data set {result.dataset_digest[:12]} is not at {data}")


@contextmanager
def _outputs(
    result: Result, dataset: Dataset, found: _Found, options: Options
) -> Iterator[tuple[OpenedSubmission, str]]:
    """The outputs of a result, and where they are from; raises an XmbenchError if there are none."""
    with ExitStack() as stack:
        for folder in found.folders.get((result.track, result.dataset_digest), ()):
            try:
                opened = open_checked(folder, dataset)
                if folder not in found.digests:
                    found.digests[folder] = outputs_digest(opened)
            except XmbenchError:
                continue
            # Bounds may coincide: of several submissions with these outputs, the one of the same system.
            if found.digests[folder] == result.outputs_digest and opened.submission.system == result.submission.system:
                yield opened, str(folder)
                return
        if not remake.of_tool(result.submission) or remake.undeclarable(result.submission):
            raise DatasetError(
                f"no submission with its outputs ({result.outputs_digest[:12]}) is in {options.submissions}"
            )
        folder = stack.enter_context(remake.remade(result.submission, dataset, silent))
        yield open_checked(folder, dataset), "made again"


def _item_differences(root: Path, result: Result, again: pa.Table, tolerance: float) -> Iterator[str]:
    """Values of single items on the board that the outputs do not give."""
    if columns.items_digest(columns.read_items(root, result)) != columns.items_digest(again):
        yield "the items of the board are not those of the data set"
        return
    stored = columns.of(root, result)
    made = columns.primary_values(result, again)
    if stored is None or made is None:
        return
    apart = ~np.isclose(stored.values, made, rtol=0.0, atol=tolerance, equal_nan=True)
    for position in map(int, np.flatnonzero(apart)):
        item, claimed, found = stored.ids[position], stored.values[position], made[position]
        yield f"{result.primary} of {item}: the board says {claimed}, the submission gives {found}"


def mark(path: Path, result: Result, command: str) -> None:
    """Writes that a result of the board is what its outputs score; to be called only where that was found."""
    here = environment(command)
    record = Verified(
        xmbench=here.xmbench,
        commit=here.commit,
        machine=here.machine,
        command=command,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    write_text(path, result.model_copy(update={"status": "verified", "verified": record}).to_json())
