"""Outputs that were sent: scored here, added, and marked as verified, in one pass.

The same as scoring, adding and verifying one after the other, at half the cost: the scores of the row are those of
these outputs, because nobody but this process has had them in hand. What lies beside the outputs is not
trusted: an unfinished scoring there is not resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xmbench.evaluator.save import score_and_save
from xmbench.execution.progress import silent
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.result import Result
from xmbench.leaderboard.admission import Added, add
from xmbench.leaderboard.verification import mark


def admit(
    root: Path,
    submission: Path,
    dataset: Dataset,
    *,
    out: Path | None = None,
    replace: bool = False,
    workers: int = 1,
    command: str = "",
    progress: Callable[[str], None] = silent,
) -> Added:
    """Scores a submission and adds it to its board as verified.

    Args:
        root: the directory of the leaderboards.
        submission: the directory of the outputs.
        dataset: what they were made for.
        out: the result's file; None for `result.json` beside the submission, where `score` writes it.
        replace: take the place of a result of the same system.
        workers: processes that score.
        command: recorded in the result, and as who verified.
        progress: gets lines of progress.

    Raises:
        XmbenchError: as in `score_and_save` and `add`; the boards are then unchanged.
    """
    result = out if out is not None else submission.parent / "result.json"
    score_and_save(submission, dataset, result, workers=workers, command=command, resume=False)
    return verified(add(root, result, replace=replace, dataset=dataset, progress=progress), command)


def verified(added: Added, command: str) -> Added:
    """Marks a result that was added from scores of this process."""
    mark(added.path, load_json(added.path, Result), command)
    return added
