"""The submissions of a rating page: opened for one data set and one track, and never the same outputs twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xmbench.errors import SubmissionError
from xmbench.evaluator.check import OpenedSubmission
from xmbench.evaluator.decode import Decoded, decode_output
from xmbench.evaluator.find import open_for
from xmbench.evaluator.outputs_digest import outputs_digest
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.rating_kit import RatedSystem
from xmbench.formats.result import Result
from xmbench.interfaces import Task
from xmbench.printable import shown

SUBMISSION_FOLDER = "submission"


@dataclass(frozen=True, slots=True)
class Rated:
    """A system to rate, with its outputs."""

    system: RatedSystem
    opened: OpenedSubmission

    def decoded(self, ids: Sequence[str], task: Task) -> dict[str, Decoded]:
        """Some of its outputs as they are scored; those that are missing have that status."""
        found = {item: Decoded("missing") for item in ids}
        for raw in self.opened.outputs.read(sorted(ids)):
            if raw is not None:
                found[raw.id] = decode_output(raw, task, self.opened.track.direction)
        return found


def open_rated(paths: Sequence[Path], data: Path | None) -> tuple[list[Rated], Dataset]:
    """Opens what is rated, with its data set.

    Args:
        paths: directories of submissions, or results with their submission in `submission/` next to them.
        data: the data set; None finds it by the digest that the first submission names.

    Raises:
        SubmissionError: another submission than the result's, systems on different tracks, or the same outputs twice.
        DocumentError, DatasetError: no such result, submission or data set.
    """
    found: list[Rated] = []
    dataset: Dataset | None = None
    for path in paths:
        own, opened_for = _open(path, dataset.folder if dataset else data)
        dataset = dataset or opened_for
        found.append(own)
    assert dataset is not None, "no system to rate"
    problems = [
        f"{shown(one.system.name)}: on {one.opened.submission.track}, but the first one is on "
        f"{found[0].opened.submission.track}"
        for one in found
        if one.opened.submission.track != found[0].opened.submission.track
    ]
    seen: dict[str, Path] = {}
    for path, one in zip(paths, found, strict=True):
        digest = str(one.system.outputs_digest)
        problems += [f"{path}: the same outputs as {seen[digest]}"] if digest in seen else []
        seen.setdefault(digest, path)
    if problems:
        raise SubmissionError(
            "these systems cannot be rated on one page",
            where=", ".join(map(str, paths))[:300],
            problems=problems,
            expected="different outputs for one track of one data set",
        )
    return found, dataset


def _open(path: Path, data: Path | None) -> tuple[Rated, Dataset]:
    result = None if path.is_dir() else load_json(path, Result)
    folder = path if result is None else path.parent / SUBMISSION_FOLDER
    opened, dataset = open_for(folder, data)
    digest = outputs_digest(opened)
    if result is not None and digest != result.outputs_digest:
        raise SubmissionError(
            "the submission's outputs are not those that the result was scored from",
            where=folder,
            expected=f"outputs with the digest {result.outputs_digest[:12]}, next to {path}",
            todo="name the directory of the submission itself, or score it again",
        )
    made = opened.submission
    return Rated(RatedSystem(name=made.system, outputs_digest=digest, kind=made.kind), opened), dataset
