"""Writes the page of a result."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from xmbench import html, registry
from xmbench.errors import SubmissionError, XmbenchError
from xmbench.evaluator.check import OpenedSubmission, open_checked
from xmbench.evaluator.find import find_dataset
from xmbench.evaluator.judge import load_judges
from xmbench.evaluator.outputs import open_submission
from xmbench.evaluator.verdicts import Verdicts, naming_metrics, verdicts
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.document import load_json
from xmbench.formats.result import Result
from xmbench.formats.submission import SUBMISSION_FILE
from xmbench.interfaces import judges_of
from xmbench.leaderboard import Board, boards, load
from xmbench.leaderboard.admission import items_of
from xmbench.leaderboard.board import board_key
from xmbench.storage.files import write_text
from xmbench.views.report import confusion, facts, items, spread
from xmbench.views.report.style import SCRIPT, STYLE


@dataclass(frozen=True, slots=True)
class Reported:
    """What a page shows: how many items with media, and notes on what is missing."""

    shown: int
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Media:
    """The submission that a result was scored from, with its data set; `why` says why it is missing."""

    opened: OpenedSubmission | None = None
    dataset: Dataset | None = None
    why: str = ""


def write_report(
    path: Path, out: Path, *, submission: Path | None = None, data: Path | None = None, root: Path | None = None
) -> Reported:
    """Writes the page.

    Args:
        path: the result, with its per-item table in the same directory.
        out: the HTML file.
        submission: what was scored; None looks for `submission/` in the directory of the result.
        data: the data set; None looks for it by digest.
        root: a directory of leaderboards, for the lower and upper bounds of the result's board.

    Raises:
        DocumentError, DatasetError: not a result, or its per-item table is missing or belongs to another one.
        SubmissionError: the submission is not the one that was scored.
        OutputError: the file cannot be written, or is not a page.
    """
    result = load_json(path, Result)
    html.place(out)
    table = items_of(path, result)
    media = _media(path, submission, data)
    board = _board(result, root)
    found, missing = _verdicts(result, table, media)
    missing = [*([media.why] if media.why else []), *missing]
    chosen, shown = "", 0
    if media.opened is not None and media.dataset is not None:
        chosen, shown = items.section(result, table, media.opened, media.dataset, found)
    body = [
        facts.head(result, table),
        facts.absent(missing),
        facts.scores(result, board),
        facts.classes(result, table),
        confusion.section(table, found, result),
        spread.section(result, table, board),
        chosen,
        facts.failed(table),
    ]
    title = f"{result.submission.system} on {result.track}"
    write_text(out, html.document(title, "".join(body), style=STYLE, script=SCRIPT))
    return Reported(shown, tuple(missing))


def _media(path: Path, submission: Path | None, data: Path | None) -> _Media:
    """The named submission must be right; one in the directory of the result is used if possible."""
    default = path.parent / "submission"
    if submission is None and not (default / SUBMISSION_FILE).is_file():
        return _Media(
            why="The submission was not found: no media, and no confusion of the judge. --submission names it."
        )
    folder = submission or default
    try:
        dataset = open_dataset(data) if data else find_dataset(open_submission(folder))
        return _Media(open_checked(folder, dataset), dataset)
    except XmbenchError as error:
        if submission is not None or data is not None:
            raise
        return _Media(why=f"No media, and no confusion of the judge: {error.what}. --data names the data set.")


def _board(result: Result, root: Path | None) -> Board | None:
    """The result's own board, if there is a directory of leaderboards that has one."""
    if root is None or not root.is_dir():
        return None
    loaded, wanted = load(root, metrics=False), board_key(result)
    for board in boards(loaded.results, loaded.columns):
        key = board_key(board.rows[0].result)
        if key[:-1] == wanted[:-1] and wanted[-1] in (key[-1], ""):  # "": scored without the primary metric
            return board
    return None


def _verdicts(result: Result, table: pa.Table, media: _Media) -> tuple[list[Verdicts], list[str]]:
    """What the judge found, if the judge and the outputs are those of the result."""
    if media.opened is None or media.dataset is None:
        return [], []
    local = result.judge is not None and result.judge.local
    judge, second = load_judges(media.dataset, media.opened.track, local=local) if result.judge else (None, None)
    names = naming_metrics(tuple(name for name in result.scores if name in table.column_names))
    if judge is None or result.judge is None or not names:
        _require_outputs(table, media.opened)
        return [], []
    if judge.card.sha256 != result.judge.sha256:
        _require_outputs(table, media.opened)
        return [], [f"No confusion of the judge: {result.judge.name} {result.judge.sha256[:12]} is not installed."]
    same = second is not None and result.second_judge is not None and (second.card.sha256 == result.second_judge.sha256)
    kept = tuple(name for name in names if same or judges_of(registry.metric(name))[:1] != ("second",))
    found, digest = verdicts(media.opened, media.dataset, judge, kept, second)
    if digest != result.outputs_digest:
        raise _other_outputs(media.opened)
    return found, [] if kept == names else ["No confusion of the second judge: it is not the installed one."]


def _require_outputs(table: pa.Table, opened: OpenedSubmission) -> None:
    """Checks that these outputs were scored: without a judge nothing else would notice that they are others."""
    known = dict(zip(table.column("id").to_pylist(), table.column("output_sha256").to_pylist(), strict=True))
    for raw in opened.outputs.read(opened.ids):
        if raw is not None and hashlib.sha256(raw.data).hexdigest() != known.get(raw.id):
            raise _other_outputs(opened)


def _other_outputs(opened: OpenedSubmission) -> SubmissionError:
    return SubmissionError(
        "the submission's outputs are not those that the result was scored from",
        where=opened.outputs.folder,
        todo="score it again, or name the submission that was scored with --submission",
    )
