"""Is this result what the submission scores? Everything is measured again and the complete document is compared.

Only where and when it was made (`environment`, the submission's date, hardware, threads and seconds of training), the
name of the table and the status may differ: a rerun of a result's own command is verified. Nothing is written: `xmbench
leaderboard verify` marks results of a board.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from xmbench.errors import DocumentError
from xmbench.evaluator.check import OpenedSubmission, open_checked
from xmbench.evaluator.environment import environment
from xmbench.evaluator.evaluate import Scored, items_digest, score
from xmbench.evaluator.judge import load_judges
from xmbench.evaluator.save import read_items
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.recipe import TrackSpec
from xmbench.formats.result import Environment, Result

# A rerun of a result's own command has another date, and may have another machine.
_FREE = frozenset({"environment", "items_table", "status", "verified"})
_FREE |= {f"submission.{name}" for name in ("created", "hardware", "threads", "training_seconds")}
# Results of runs from before these were recorded do not state them.
_LATER = frozenset({"submission.parameters", "submission.head_accuracy"})
_ABSENT = "(nothing)"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs from what the submission gives."""

    field: str
    claimed: Any
    found: Any

    def __str__(self) -> str:
        """Both values in full: a changed last digit must be visible."""
        return f"{self.field}: the result says {self.claimed!r}, the submission gives {self.found!r}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found.

    Attributes:
        differences: every field and every cell of the per-item table that differs; empty if the result is verified.
        table_checked: whether the per-item table was found; its digest in the result is compared either way.
        notes: differences between the two machines and versions, which are not errors.
        result: as the file states it.
        items: the per-item table of the new scoring.
    """

    differences: tuple[Difference, ...]
    table_checked: bool
    notes: tuple[str, ...]
    result: Result
    items: pa.Table


def verify(
    path: Path,
    submission: Path | OpenedSubmission,
    dataset: Dataset,
    *,
    workers: int = 1,
    tolerance: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Scores the submission again and compares with the result.

    Args:
        path: the result's file.
        submission: the directory that it was made from, or what `open_for` found there.
        dataset: what it was made for.
        workers: processes.
        tolerance: numbers may differ by this times max(1, |number|); 0 demands every digit. Another processor may
            round the last digits differently.
        progress: called with (distinct pairs measured, items seen).

    Raises:
        DocumentError: not a result.
        SubmissionError, DatasetError, PrerequisiteError: the submission cannot be scored.
    """
    result = load_json(path, Result)
    opened = open_checked(submission, dataset)
    track = _track(result, opened.track)
    known = [name for name in result.scores if name in track.metrics]
    judge, second = load_judges(dataset, track, local=result.judge is not None and result.judge.local)
    again = score(
        opened,
        dataset,
        metrics=known,
        workers=workers,
        judge=judge,
        second_judge=second,
        progress=progress,
        track=track,
    )
    table = _table(path, result)
    notes = (*_newer(result, opened.track), *_environments(result.environment, environment("")))
    return Verification(_differences(result, again, table, tolerance), table is not None, notes, result, again.items)


def _differences(result: Result, again: Scored, table: pa.Table | None, tolerance: float) -> tuple[Difference, ...]:
    """Fields of the result and cells of its table that differ from those of the new scoring."""
    claimed, found = (_flat(r.model_dump(mode="json", by_alias=True)) for r in (result, again.result))
    cells = list(_items(table, result, again, tolerance)) if table is not None else []
    fields = [
        Difference(field, claimed.get(field, _ABSENT), found.get(field, _ABSENT))
        for field in dict.fromkeys((*claimed, *found))
        if not _same(claimed.get(field, _ABSENT), found.get(field, _ABSENT), tolerance)
    ]
    if tolerance > 0.0 and table is not None and not cells:  # the cells agree, so their digest need not
        fields = [d for d in fields if d.field != "items_digest"]
    if result.data_digest is None:  # of version 0.1, on a recipe that was never published
        fields = [d for d in fields if d.field != "data_digest"]
    fields = [d for d in fields if d.claimed is not None or d.field not in _LATER]
    return (*fields, *cells)


def _track(result: Result, current: TrackSpec) -> TrackSpec:
    """The result's own track if the current one only adds metrics or judges: the result is still valid on it."""
    own = result.track_spec
    judges = {"judge": own.judge or current.judge, "second_judge": own.second_judge or current.second_judge}
    grown = own.model_copy(update={"metrics": current.metrics, **judges})
    return own if grown == current and set(own.metrics) <= set(current.metrics) else current


def _newer(result: Result, current: TrackSpec) -> Iterator[str]:
    """Metrics and judges that the track got after the result was scored."""
    own = result.track_spec
    added = [name for name in current.metrics if name not in own.metrics]
    judges = ((own.judge, current.judge), (own.second_judge, current.second_judge))
    added += [f"the judge {new.name}" for old, new in judges if new is not None and old is None]
    if added:
        more = f"the track has since got {', '.join(added)}: score the submission again to add them"
        yield f"scored on the track {result.track_digest[:12]}; {more}"


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """Leaves of a document by dotted path, without the fields that may differ."""
    if not isinstance(value, dict) or (name and not value):
        return {name: value}
    leaves: dict[str, Any] = {}
    for key, inner in value.items():
        path = f"{name}.{key}" if name else key
        if path not in _FREE:
            leaves.update(_flat(inner, path))
    return leaves


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, float) and isinstance(b, float) and tolerance > 0.0:
        return abs(a - b) <= tolerance * max(1.0, abs(a), abs(b))
    return bool(a == b)


def _table(path: Path, result: Result) -> pa.Table | None:
    """The result's per-item table, or None if only the document is there."""
    named = path.parent / Path(result.items_table).name
    if not result.items_table or not named.is_file():
        return None
    try:
        return read_items(named, result)
    except DocumentError:
        return pa.table({})  # damaged: every column is missing


def _items(table: pa.Table, result: Result, again: Scored, tolerance: float) -> Iterator[Difference]:
    """Cells of the per-item table that differ, and a table that belongs to another result."""
    if items_digest(table) != result.items_digest:
        yield Difference("items_table: sha256 of its content", items_digest(table), result.items_digest)
    ids = again.items.column("id").to_pylist()
    for name in dict.fromkeys((*table.column_names, *again.items.column_names)):
        if name not in table.column_names or name not in again.items.column_names:
            there, here = name in table.column_names, name in again.items.column_names
            yield Difference(f"items.{name}", "a column" if there else _ABSENT, "a column" if here else _ABSENT)
            continue
        claimed, found = table.column(name).to_pylist(), again.items.column(name).to_pylist()
        if len(claimed) != len(found):
            yield Difference(f"items.{name}", f"{len(claimed)} rows", f"{len(found)} rows")
            continue
        for item, one, other in zip(ids, claimed, found, strict=True):
            if not _same(one, other, tolerance):
                yield Difference(f"items.{name}[{item}]", one, other)


def _environments(there: Environment, here: Environment) -> Iterator[str]:
    for field in ("xmbench", "commit", "python", "machine"):
        if getattr(there, field) != getattr(here, field):
            yield f"{field}: made with {getattr(there, field) or '?'}, verified with {getattr(here, field) or '?'}"
    for name in sorted({*there.packages, *here.packages}):
        if there.packages.get(name) != here.packages.get(name):
            yield f"{name}: made with {there.packages.get(name, '-')}, verified with {here.packages.get(name, '-')}"
