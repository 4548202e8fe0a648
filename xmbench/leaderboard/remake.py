"""Rows that the tool made and can make again: floors, ceilings and references are never declarations.

Such a row names a baseline of the package in its shipped configuration. The baseline runs again on the data set, and
its outputs must have the digest of the result's. Learned baselines are not run again: their rows are systems.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xmbench import content, runner
from xmbench.errors import UnknownNameError, XmbenchError
from xmbench.evaluator.check import open_checked
from xmbench.evaluator.outputs_digest import as_flac, outputs_digest
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json, load_toml
from xmbench.formats.result import Result
from xmbench.formats.submission import SUBMISSION_FILE, Submission
from xmbench.interfaces import SIDES

MADE_KINDS = ("floor", "ceiling", "reference")
_FREE = {
    "created",
    "hardware",
    "threads",
    "training_seconds",
    "parameters",
    "command",
    "notes",
    "head_accuracy",
    "data_digest",
    "uses_judges",
    "url",
    "authors",
    "licence",
}


def shipped(name: str) -> Baseline | None:
    """The baseline of a name that this installation has; None for any other."""
    if not name or "/" in name:
        return None
    try:
        return load_toml(content.find("baselines", name), Baseline)
    except UnknownNameError:
        return None


def of_tool(made: Submission) -> bool:
    """Whether a row has to be one that the tool can make again."""
    baseline = shipped(made.baseline)
    if baseline is not None and baseline.kind != "learned":
        return True
    return made.kind in MADE_KINDS and not is_control(made)


def is_control(made: Submission) -> bool:
    """Whether a row is a learned baseline on other items' conditions: a floor that takes a training to make again."""
    baseline = shipped(made.baseline)
    return baseline is not None and baseline.kind == "learned" and made.kind == "floor" and bool(made.control)


def undeclarable(made: Submission) -> list[str]:
    """Why a row cannot be one of the tool's, by its fields alone."""
    baseline = shipped(made.baseline)
    if baseline is None or baseline.kind not in (*MADE_KINDS, "retrieval"):
        named = f"the baseline {made.baseline!r}" if made.baseline else "no baseline"
        return [f"a row of kind {made.kind!r} must be made by a baseline of xmbench, and it names {named}"]
    found = (
        [f"kind {made.kind!r}, but {baseline.name} is of kind {baseline.kind!r}"] if made.kind != baseline.kind else []
    )
    if made.preset or made.changed or made.control:
        found.append(f"{baseline.name} with changed settings is not the row that a board needs")
    return found


def not_remade(result: Result, dataset: Dataset | None, progress: Callable[[str], None]) -> list[str]:
    """Runs the baseline of a row again; why the result is not what it gives.

    Args:
        result: whose submission passed `undeclarable`.
        dataset: what it was made for; None: the row is refused.
        progress: gets lines of progress.
    """
    made = result.submission
    if dataset is None:
        return [
            f"a row of kind {made.kind!r} is made again before it is added, and its data set is not here: "
            "name it with --data DIR"
        ]
    try:
        with remade(made, dataset, progress) as folder:
            again = load_json(folder / SUBMISSION_FILE, Submission)
            opened = open_checked(folder, dataset)
            digests = [outputs_digest(opened)]
            if digests[0] != result.outputs_digest and SIDES[opened.track.direction].output == "audio":
                digests.append(outputs_digest(opened, as_flac))  # what `--outputs flac` writes
    except XmbenchError as error:
        return [f"{made.baseline} does not run here: {error.what}"]
    ours, theirs = (one.model_dump(mode="json", by_alias=True) for one in (again, made))
    found = [
        f"{field}: {theirs[field]!r}, but {made.baseline} gives {ours[field]!r}"
        for field in ours
        if field not in _FREE and ours[field] != theirs[field]
    ]
    if result.outputs_digest not in digests:
        found.append(
            f"{made.baseline} was run again, and its outputs have the digest {digests[0][:12]}, not "
            f"{result.outputs_digest[:12]}: run and score it here, `xmbench run-baseline {made.baseline} --data DIR`"
        )
    return found


@contextmanager
def remade(made: Submission, dataset: Dataset, progress: Callable[[str], None]) -> Iterator[Path]:
    """The submission of a baseline's row, made again in a temporary directory.

    Raises:
        XmbenchError: the baseline cannot be run on this data set.
    """
    baseline = shipped(made.baseline)
    if baseline is None:
        raise UnknownNameError(f"no baseline is called {made.baseline!r}")
    direction = made.track.partition("/")[2]
    with tempfile.TemporaryDirectory(prefix="xmbench-remake-") as folder:
        done = runner.run(baseline, dataset, Path(folder) / "run", seed=made.seed, device="cpu", progress=progress)
        yield next(written.submission for written in done.written if written.direction == direction)
