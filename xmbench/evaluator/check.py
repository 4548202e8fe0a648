"""Every problem of a submission in seconds, without a model or a metric."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from xmbench.errors import SubmissionError
from xmbench.evaluator.decode import Decoded, decode_output
from xmbench.evaluator.output_table import MOST_LISTED
from xmbench.evaluator.outputs import Outputs, RawOutput, find_outputs, open_submission
from xmbench.evaluator.stored import content, copies
from xmbench.formats.dataset import Dataset
from xmbench.formats.recipe import TrackSpec
from xmbench.formats.submission import Submission


class Severity(StrEnum):
    """How severe a finding is."""

    error = "error"  # must be fixed: `check` and `score` exit with 1
    warning = "warning"  # should be checked: `check` exits with 1, `score` counts the output as it is
    note = "note"  # for a reader: nothing needs to change


_MILDER = {
    "silent": Severity.warning,
    "length": Severity.warning,
    "clipped": Severity.note,
    "even": Severity.note,
    "identical": Severity.note,
    "uses-judges": Severity.warning,
    "declaration": Severity.note,
    "retrieval": Severity.note,
}


def severity_of(kind: str) -> Severity:
    """The severity of a kind of finding: an error, unless it is known to be milder."""
    return _MILDER.get(kind, Severity.error)


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding: the item (or "" for the submission as a whole), its kind, one sentence, its severity."""

    id: str
    kind: str
    detail: str
    severity: Severity = Severity.error

    def __str__(self) -> str:
        """`<id>: <kind>: <detail>`."""
        return ": ".join(part for part in (self.id, self.kind, self.detail) if part)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check` found.

    Attributes:
        items: number of ids of the track.
        problems: errors and warnings; `check` exits with 1 if there are any.
        notes: what a reader should know and need not change (clipping, identical outputs).
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


def open_checked(
    submission: Path | OpenedSubmission, dataset: Dataset, document: Submission | None = None
) -> OpenedSubmission:
    """Opens a submission for a data set; one that is already open is returned unchanged.

    Args:
        submission: the directory.
        dataset: what it was made for.
        document: its `submission.json`, if it has been read already.

    Raises:
        SubmissionError: the submission names another track or data set (all differences are listed).
        DocumentError: `submission.json` does not fit its schema.
    """
    if isinstance(submission, OpenedSubmission):
        return submission
    named = document or open_submission(submission)
    track_of = {dataset.recipe.track_id(t.direction): t for t in dataset.tracks}
    track = track_of.get(named.track)
    problems = []
    if track is None:
        problems.append(f"track: '{named.track}', but this data set has {', '.join(track_of)}")
    if named.dataset_digest != dataset.digest:
        problems.append(f"dataset_digest: {named.dataset_digest}, but this data set is {dataset.digest}")
        problems += _recipes(named.data_digest, dataset.manifest.data_digest)
    if problems or track is None:
        raise SubmissionError(
            "the submission was made for other data",
            where=submission,
            problems=problems,
            todo="name the right data set with --data, or generate the outputs again from this one",
        )
    ids = tuple(str(i) for i in dataset.table(track.split, []).column("id").to_pylist())
    outputs = find_outputs(submission, track.direction, dataset.recipe.task, len(ids))
    return OpenedSubmission(named, track, outputs, ids)


def _recipes(made_for: str | None, here: str) -> list[str]:
    """What the recipes say about two data sets that are not the same."""
    if made_for is None:
        return []
    if made_for != here:
        return [f"data_digest: {made_for}, but the recipe of this data set has {here}"]
    return ["data_digest: the same recipe, built with another --limit or --seed, or other versions of its sources"]


def id_problems(opened: OpenedSubmission) -> list[Problem]:
    """Missing, extra, duplicate ids and foreign files; of extra and foreign ones at most `MOST_LISTED` each."""
    wanted, outputs = set(opened.ids), opened.outputs
    problems = [Problem(i, "missing", "no output for this id") for i in sorted(wanted - set(outputs.found))]
    problems += _listed("extra", [(i, "the track has no such id") for i in sorted(set(outputs.found) - wanted)])
    problems += [Problem(i, "duplicate", "more than one output for this id") for i in sorted(outputs.duplicates)]
    expected = " ".join(outputs.suffixes)
    reason = "" if outputs.is_table else f" is not an output (expected <id> and one of {expected})"
    problems += _listed("foreign", [("", f"{outputs.place}/{name}{reason}") for name in outputs.foreign])
    return problems


def _listed(kind: str, found: Sequence[tuple[str, str]]) -> list[Problem]:
    """One problem for each, and one for those beyond the limit."""
    problems = [Problem(item_id, kind, detail) for item_id, detail in found[:MOST_LISTED]]
    more = len(found) - MOST_LISTED
    return [*problems, Problem("", kind, f"and {more:,} more")] if more > 0 else problems


def check(submission: Path | OpenedSubmission, dataset: Dataset) -> CheckReport:
    """Finds every problem of a submission: ids, format, rate, length, silence, NaN, clipping, duplicates.

    Raises:
        SubmissionError: the submission was made for other data, or has no outputs.
    """
    opened = open_checked(submission, dataset)
    found = [*_declared(opened.submission), *id_problems(opened)]
    readable: Counter[bytes] = Counter()
    unreadable: Counter[bytes] = Counter()
    for raw, decoded in decoded_outputs(opened, dataset):
        if decoded.media:
            readable[content(decoded.media)] += 1
        else:
            unreadable[hashlib.sha256(raw.data).digest()] += 1
        if decoded.status != "ok":
            found.append(Problem(raw.id, decoded.status, decoded.detail, severity_of(decoded.status)))
        found += [Problem(raw.id, note.kind, note.detail, severity_of(note.kind)) for note in decoded.notes]
    found += _stored(opened, dataset, readable)
    repeated = sum(count for same in (readable, unreadable) for count in same.values() if count > 1)
    if repeated:
        detail = f"{repeated} outputs are identical to another one"
        found.append(Problem("", "identical", detail, severity_of("identical")))
    problems = tuple(problem for problem in found if problem.severity is not Severity.note)
    notes = tuple(problem for problem in found if problem.severity is Severity.note)
    return CheckReport(opened.submission.track, len(opened.ids), problems, notes)


_QUESTION = (
    'state "uses_judges": false if no judge of the package, and none of its weights, is part of the system or of its '
    "training; else true"
)


def _declared(submission: Submission) -> list[Problem]:
    """What a submission states, or leaves open, about the judges that grade it."""
    if submission.uses_judges:
        detail = "a system that uses the package's judges, or their weights, is not ranked"
        return [Problem("", "uses-judges", detail, severity_of("uses-judges"))]
    if submission.uses_judges is None and submission.kind in ("learned", "retrieval"):
        return [Problem("", "declaration", _QUESTION, severity_of("declaration"))]
    return []


def _stored(opened: OpenedSubmission, dataset: Dataset, contents: Counter[bytes]) -> list[Problem]:
    """A system that gives stored items out exactly as they are is no generator."""
    if opened.submission.kind != "learned":
        return []
    found = copies(contents, dataset, opened.track.direction, opened.track.split)
    if not found:
        return []
    counts = " and ".join(f"{count:,} of the split {split}" for split, count in found.items())
    detail = f'outputs that are exact copies of stored items: {counts}; the kind of such a system is "retrieval"'
    return [Problem("", "retrieval", detail, severity_of("retrieval"))]


def decoded_outputs(opened: OpenedSubmission, dataset: Dataset) -> Iterator[tuple[RawOutput, Decoded]]:
    """Every existing output, decoded, in the order of the track's ids."""
    for raw in opened.outputs.read(opened.ids):
        if raw is not None:
            yield raw, decode_output(raw, dataset.recipe.task, opened.track.direction)
