"""Every problem of a submission in seconds, without a model or a metric."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xmbench.errors import SubmissionError
from xmbench.evaluator.decode import Decoded, decode_output
from xmbench.evaluator.output_table import MOST_LISTED
from xmbench.evaluator.outputs import Outputs, RawOutput, find_outputs, open_submission
from xmbench.formats.dataset import Dataset
from xmbench.formats.recipe import TrackSpec
from xmbench.formats.submission import OUTPUT_FOLDER, OUTPUT_TABLE, Submission
from xmbench.media.signal import Media, Sound


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the item (or "" for the whole submission), what kind, one sentence."""

    id: str
    kind: str
    detail: str

    def __str__(self) -> str:
        """`<id>: <kind>: <detail>`."""
        return ": ".join(part for part in (self.id, self.kind, self.detail) if part)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check` found.

    Attributes:
        items: ids that the track asks for.
        problems: what has to be fixed; `check` exits with 1 if there are any.
        notes: what a reader should know and nothing needs to change (clipping, identical outputs).
    """

    track: str
    items: int
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class OpenedSubmission:
    """A submission whose track and digests agree with the data set, with its outputs listed."""

    submission: Submission
    track: TrackSpec
    outputs: Outputs
    ids: tuple[str, ...]


def open_checked(folder: Path, dataset: Dataset) -> OpenedSubmission:
    """Opens a submission for a data set.

    Raises:
        SubmissionError: another track, recipe or data set than the submission names (all are listed).
        DocumentError: `submission.json` does not fit its schema.
    """
    submission = open_submission(folder)
    track_of = {dataset.recipe.track_id(t.direction): t for t in dataset.recipe.tracks}
    track = track_of.get(submission.track)
    manifest = dataset.manifest
    problems = []
    if track is None:
        problems.append(f"track: '{submission.track}', but this data set has {', '.join(track_of)}")
    if submission.dataset_digest != dataset.digest:
        problems.append(f"dataset_digest: {submission.dataset_digest}, but this data set is {dataset.digest}")
    if submission.recipe_digest != manifest.recipe_digest:
        problems.append(f"recipe_digest: {submission.recipe_digest}, but this data set has {manifest.recipe_digest}")
    if problems or track is None:
        raise SubmissionError(
            "the submission was made for other data",
            where=folder,
            problems=problems,
            todo="name the right data set with --data, or make the outputs again from this one",
        )
    ids = tuple(str(i) for i in dataset.table(track.split, []).column("id").to_pylist())
    outputs = find_outputs(folder, track.direction, dataset.recipe.task, len(ids))
    return OpenedSubmission(submission, track, outputs, ids)


def id_problems(opened: OpenedSubmission) -> list[Problem]:
    """Missing, extra and duplicate ids, and what is no output; of the last two kinds no more than `MOST_LISTED`."""
    wanted, outputs = set(opened.ids), opened.outputs
    problems = [Problem(i, "missing", "no output for this id") for i in sorted(wanted - set(outputs.found))]
    problems += _listed("extra", [(i, "the track has no such id") for i in sorted(set(outputs.found) - wanted)])
    problems += [Problem(i, "duplicate", "more than one output for this id") for i in sorted(outputs.duplicates)]
    expected = " ".join(outputs.suffixes)
    place = OUTPUT_TABLE if outputs.is_table else OUTPUT_FOLDER
    told = "" if outputs.is_table else f" is no output (expected <id> and one of {expected})"
    problems += _listed("foreign", [("", f"{place}/{name}{told}") for name in outputs.foreign])
    return problems


def _listed(kind: str, found: Sequence[tuple[str, str]]) -> list[Problem]:
    """A problem each, and one for all that are too many to be listed."""
    problems = [Problem(item_id, kind, detail) for item_id, detail in found[:MOST_LISTED]]
    more = len(found) - MOST_LISTED
    return [*problems, Problem("", kind, f"and {more:,} more")] if more > 0 else problems


def check(folder: Path, dataset: Dataset) -> CheckReport:
    """Finds every problem of a submission: ids, format, rate, length, silence, NaN, clipping, duplicates.

    Raises:
        SubmissionError: the submission belongs to other data or has no outputs.
    """
    opened = open_checked(folder, dataset)
    problems = id_problems(opened)
    notes: list[Problem] = []
    same: Counter[bytes] = Counter()
    for raw, decoded in decoded_outputs(opened, dataset):
        same[content(decoded.media) if decoded.media else hashlib.sha256(raw.data).digest()] += 1
        if decoded.status != "ok":
            problems.append(Problem(raw.id, decoded.status, decoded.detail))
        for note in decoded.notes:
            target = problems if "samples, expected" in note else notes
            target.append(Problem(raw.id, "length" if target is problems else "note", note))
    repeated = sum(count for count in same.values() if count > 1)
    if repeated:
        notes.append(Problem("", "identical", f"{repeated} outputs are identical to another one"))
    return CheckReport(opened.submission.track, len(opened.ids), tuple(problems), tuple(notes))


def content(media: Media) -> bytes:
    """sha256 of samples or pixels: the same for two files that encode the same."""
    values = media.samples if isinstance(media, Sound) else media.pixels
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest()


def decoded_outputs(opened: OpenedSubmission, dataset: Dataset) -> Iterator[tuple[RawOutput, Decoded]]:
    """Every output that is there, decoded, in the order of the track's ids."""
    for raw in opened.outputs.read(opened.ids):
        if raw is not None:
            yield raw, decode_output(raw, dataset.recipe.task, opened.track.direction)
