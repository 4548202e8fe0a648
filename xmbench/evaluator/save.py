"""Scores a submission and writes the result with its per-item table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xmbench.errors import DatasetError, DocumentError
from xmbench.evaluator.check import OpenedSubmission, open_checked
from xmbench.evaluator.evaluate import Scored, items_digest, score
from xmbench.evaluator.judge import load_judges
from xmbench.evaluator.resume import remove
from xmbench.execution.engine import Engine
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.result import Result
from xmbench.formats.tables import open_table
from xmbench.storage.files import make_folder, replacing, write_text

_LONGEST_CELL = 1 << 10  # bytes, on average; only the details can be long
_SLACK = 1 << 20


def score_and_save(
    submission: Path | OpenedSubmission,
    dataset: Dataset,
    out: Path,
    *,
    metrics: Sequence[str] = (),
    workers: int = 1,
    local_judge: bool = False,
    judge_device: str = "cpu",
    command: str = "",
    progress: Callable[[int, int], None] | None = None,
    engine: Engine = "local",
    ray_address: str = "",
    resume: bool = True,
) -> Scored:
    """Scores and writes `out` and, in the same directory, `<out stem>.items.parquet`. The result is written last.

    What is measured is kept in `<out stem>.partial/` until then: the next run resumes one that was killed.

    Args:
        submission: the directory, or what `open_for` found there.
        dataset: what it was made for.
        out: the result's file.
        metrics: only these; empty for all of the track.
        workers: processes.
        local_judge: use the data set's own judge instead of the frozen one.
        judge_device: where the judges compute: "cpu", which defines the scores, or "cuda"; the result says so.
        command: recorded in the result.
        progress: called with (distinct pairs measured, items seen).
        engine: as in `score`.
        ray_address: of the cluster, as in `score`.
        resume: False to measure everything here, and to keep nothing for a later run: whoever sent the submission
            may have sent measurements beside it.

    Raises:
        SubmissionError, DatasetError, PrerequisiteError, OutputError: nothing was written.
    """
    make_folder(out.parent)
    opened = open_checked(submission, dataset)
    judge, second = load_judges(dataset, opened.track, local=local_judge, device=judge_device)
    scored = score(
        opened,
        dataset,
        metrics=metrics,
        workers=workers,
        command=command,
        judge=judge,
        second_judge=second,
        progress=progress,
        partial=partial_path(out) if resume else None,
        engine=engine,
        ray_address=ray_address,
    )
    table = items_path(out)
    named = scored.result.model_copy(update={"items_table": table.name})
    with replacing(table) as temporary:
        pq.write_table(scored.items, temporary, compression="zstd")
    write_text(out, named.to_json())
    remove(partial_path(out))
    return replace(scored, result=named)


def items_path(result: Path) -> Path:
    """The path of a result's per-item table."""
    return result.with_suffix(".items.parquet")


def partial_path(result: Path) -> Path:
    """The directory with the measured pairs of an unfinished run."""
    return result.with_suffix(".partial")


def load_scored(path: Path) -> tuple[Result, pa.Table]:
    """Reads a result and its per-item table.

    Raises:
        DocumentError: not a result.
        DatasetError: the table is missing, damaged, or not the one that the result names.
    """
    result = load_json(path, Result)
    table_path = path.parent / Path(result.items_table).name
    try:
        items = read_items(table_path, result)
    except DocumentError as error:
        raise DatasetError(
            f"the per-item table cannot be read ({error.what})",
            where=table_path,
            expected="the table that `xmbench score` wrote with the result",
            todo="keep the two files together, or score the submission again",
        ) from error
    if items_digest(items) != result.items_digest:
        raise DatasetError(
            "the per-item table belongs to another result",
            where=table_path,
            expected=f"digest {result.items_digest[:12]}",
            todo="keep the two files together, or score the submission again",
        )
    if problems := _unfit(result, items):
        raise DatasetError(
            "the per-item table is not one that `xmbench score` writes",
            where=table_path,
            problems=problems,
            todo="score the submission again",
        )
    return result, items


def read_items(path: Path, result: Result) -> pa.Table:
    """A per-item table with at most as many rows as the result has items.

    Raises:
        DocumentError: missing, damaged, or larger than the result's own can be.
    """
    rows = max((score.n for score in result.scores.values()), default=0)
    columns = 10 + 2 * len(result.scores)
    bound = rows * _LONGEST_CELL + _SLACK
    return open_table(path, None, rows, bound=bound).read(columns * bound)


def _unfit(result: Result, items: pa.Table) -> list[str]:
    """Columns that are missing or of another type: a digest alone says nothing about them."""
    wanted = {name: pa.string() for name in ("id", "class", "group", "output_sha256", "status", "detail")}
    wanted |= {f"{score.depends_on}_group": pa.string() for score in result.scores.values() if score.depends_on}
    wanted["label"] = pa.int64()
    for name in result.scores:
        if name in items.column_names:
            wanted |= {name: pa.float64(), f"{name}:status": pa.string()}
    found = {field.name: field.type for field in items.schema}
    return [
        f"column '{name}' is {found.get(name, 'missing')}, expected {kind}"
        for name, kind in wanted.items()
        if found.get(name) != kind
    ] + [
        f"column '{name}' has {items.column(name).null_count} empty cells"
        for name in wanted
        if name not in result.scores and found.get(name) == wanted[name] and items.column(name).null_count
    ]
