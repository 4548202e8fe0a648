"""Scores a submission: every item gets a state or a status, every metric a value with an interval.

Rules (the protocol): items match by id; a failed item counts the metric's floor and shows in the coverage;
nothing is dropped or substituted; identical (output, reference) pairs are measured once; the numbers do not
depend on the number of workers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xmbench import registry
from xmbench.errors import PrerequisiteError, UnknownNameError, nearest
from xmbench.evaluator.bootstrap import RESAMPLES, SEED, intervals
from xmbench.evaluator.check import OpenedSubmission, Problem, id_problems, open_checked
from xmbench.evaluator.environment import environment
from xmbench.evaluator.judge import LoadedJudge
from xmbench.evaluator.measure import CHUNK, States, Work, measured, prepare
from xmbench.evaluator.walk import Ledger, distinct_pairs
from xmbench.formats.dataset import Dataset
from xmbench.formats.result import Result, Score
from xmbench.interfaces import ItemState, Metric, Pair, ScoringContext

PROTOCOL = "xmbench-protocol/1"
JUDGE_BATCH = 64


@dataclass(frozen=True, slots=True)
class Scored:
    """A result, its per-item table (one row per id) and everything that was wrong with the submission."""

    result: Result
    items: pa.Table
    problems: tuple[Problem, ...]


def score(
    folder: Path,
    dataset: Dataset,
    *,
    metrics: Sequence[str] = (),
    workers: int = 1,
    command: str = "",
    judge: LoadedJudge | None = None,
    second_judge: LoadedJudge | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Scored:
    """Scores a submission against a data set.

    Args:
        folder: the submission.
        dataset: what it was made for.
        metrics: only these of the track's metrics; empty for all.
        workers: processes.
        command: noted in the result.
        judge: the track's judge; metrics that need one are refused without.
        second_judge: the track's second judge, if it has one.
        report: called with (distinct pairs measured, items seen).

    Raises:
        SubmissionError: it belongs to other data, or has no outputs.
        UnknownNameError: a metric that the track does not have.
        PrerequisiteError: a metric needs a judge and there is none.
    """
    opened = open_checked(folder, dataset)
    names = _chosen(opened, metrics)
    judged = tuple(name for name in names if registry.metric(name).needs_judge)
    plain = tuple(name for name in names if name not in judged)
    if judged and judge is None:
        raise PrerequisiteError(
            f"{', '.join(judged)}: no judge for {opened.submission.track}",
            todo=f"xmbench fit-judge {dataset.folder}, or leave the metric out with --metrics",
        )
    context = ScoringContext(dataset.recipe.task)
    weights = [each.weights if each else None for each in (judge, second_judge)]
    judging = ScoringContext(dataset.recipe.task, *weights)
    ledger, states = Ledger(), dict[bytes, States]()
    work = _chunks(distinct_pairs(opened, dataset, ledger, plain), states, judged, judging)
    for chunk in measured(work, plain, context, workers):
        for key, own in chunk:
            states.setdefault(key, {}).update(own)
        if report:
            report(len(states), len(ledger.ids))
    columns = {name: _items(registry.metric(name), ledger, states) for name in names}
    scores = _scores(columns, ledger.groups)
    items = _items_table(ledger, dataset, columns)
    cards = [each.card if each and judged else None for each in (judge, second_judge)]
    manifest, track = dataset.manifest, opened.track
    result = Result(
        protocol=PROTOCOL,
        track=opened.submission.track,
        regime=dataset.recipe.regime,
        split=track.split,
        primary=track.primary,
        limit=manifest.limit,
        recipe_digest=manifest.recipe_digest,
        dataset_digest=dataset.digest,
        outputs_digest=ledger.outputs_digest,
        submission=opened.submission,
        scores=scores,
        judge=cards[0],
        second_judge=cards[1],
        bootstrap={"resamples": RESAMPLES, "seed": SEED, "clusters": len(set(ledger.groups))},
        items_table="",
        items_digest=items_digest(items),
        environment=environment(command),
    )
    return Scored(result, items, (*id_problems(opened), *ledger.problems))


def items_digest(items: pa.Table) -> str:
    """sha256 of the per-item table's content: columns and values, not the file's bytes."""
    total = hashlib.sha256()
    for name in items.column_names:
        total.update(f"{name}\n{items.column(name).to_pylist()!r}\n".encode())
    return total.hexdigest()


def _chosen(opened: OpenedSubmission, metrics: Sequence[str]) -> tuple[str, ...]:
    known = opened.track.metrics
    for name in metrics:
        if name not in known:
            raise UnknownNameError(
                f"the track {opened.submission.track} has no metric '{name}'", expected=nearest(name, known)
            )
    return tuple(name for name in known if not metrics or name in metrics)


def _chunks(
    distinct: Iterator[tuple[Work, Pair]], states: dict[bytes, States], judged: tuple[str, ...], context: ScoringContext
) -> Iterator[list[Work]]:
    """Chunks of distinct pairs, in id order; the judge hears them on the way, in batches of one size."""
    chunk: list[Work] = []
    batch: list[tuple[bytes, Pair]] = []
    for work, pair in distinct:
        chunk.append(work)
        batch.append((work.key, pair))
        if len(batch) == JUDGE_BATCH:
            _judge(batch, judged, context, states)
            batch = []
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    _judge(batch, judged, context, states)
    if chunk:
        yield chunk


def _judge(
    batch: list[tuple[bytes, Pair]], judged: tuple[str, ...], context: ScoringContext, states: dict[bytes, States]
) -> None:
    pairs = [pair for _, pair in batch]
    for name in judged if batch else ():
        for (key, _), state in zip(batch, prepare(name, pairs, context), strict=True):
            states.setdefault(key, {})[name] = state


def _items(metric: Metric, ledger: Ledger, states: dict[bytes, States]) -> list[ItemState]:
    """One metric's state of every item."""
    found = []
    for position, (key, status) in enumerate(zip(ledger.keys, ledger.statuses, strict=True)):
        if key is not None:
            found.append(states[key][metric.name])
        else:
            found.append(ItemState(ledger.outside.get((metric.name, position), status)))
    return found


def _scores(columns: dict[str, list[ItemState]], groups: Sequence[str]) -> dict[str, Score]:
    """Every metric over all items; metrics over the same items share the resamples of their intervals."""
    metrics = {name: registry.metric(name) for name in columns}
    tables: dict[str, NDArray[np.float64]] = {}
    alike: dict[tuple[bool, ...], list[str]] = {}
    for name, items in columns.items():
        kept = tuple(_counts(metrics[name], item) for item in items)
        if any(kept):
            tables[name] = _table(metrics[name], items)[list(kept)]
            alike.setdefault(kept, []).append(name)
    ends: dict[str, tuple[float, float]] = {}
    for kept, names in alike.items():
        own = [group for group, keep in zip(groups, kept, strict=True) if keep]
        ends.update(zip(names, intervals([(metrics[n].reduce, tables[n]) for n in names], own), strict=True))
    return {name: _score(metrics[name], items, tables.get(name), ends.get(name)) for name, items in columns.items()}


def _table(metric: Metric, items: list[ItemState]) -> NDArray[np.float64]:
    """States (N, D); a failed item holds the floor."""
    width = next((len(item.state) for item in items if item.state is not None), 1)
    floor = np.full(width, 0.0 if metric.floor is None else metric.floor)
    return np.stack([floor if item.state is None else item.state for item in items])


def _score(
    metric: Metric, items: list[ItemState], table: NDArray[np.float64] | None, ends: tuple[float, float] | None
) -> Score:
    """One metric over all items; no value where the mean has no items."""
    value = None if table is None else float(metric.reduce(table, np.ones((1, len(table))))[0])
    low, high = ends or (None, None)
    statuses = [str(item.status) for item in items]
    return Score(
        value=value,
        low=low,
        high=high,
        n=len(items),
        coverage=sum(item.state is not None for item in items) / max(1, len(items)),
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        floor=metric.floor,
        metric_version=metric.version,
        statuses={name: statuses.count(name) for name in sorted(set(statuses))},
    )


def _counts(metric: Metric, item: ItemState) -> bool:
    """Whether an item enters the mean: with its value, or with the floor."""
    if item.state is not None:
        return True
    return metric.floor is not None and item.status not in metric.left_out


def _items_table(ledger: Ledger, dataset: Dataset, columns: dict[str, list[ItemState]]) -> pa.Table:
    names = dataset.recipe.classes.names
    data = {
        "id": pa.array(ledger.ids, pa.string()),
        "label": pa.array(ledger.labels, pa.int64()),
        "class": pa.array([names[label] for label in ledger.labels], pa.string()),
        "group": pa.array(ledger.groups, pa.string()),
        "take": pa.array(ledger.takes, pa.string()),
        "output_sha256": pa.array(ledger.output_digests, pa.string()),
        "status": pa.array([str(status) for status in ledger.statuses], pa.string()),
        "detail": pa.array(ledger.details, pa.string()),
    }
    for name, items in columns.items():
        values = [None if item.state is None else float(item.state[0]) for item in items]
        data[name] = pa.array(values, pa.float64())
        data[f"{name}:status"] = pa.array([str(item.status) for item in items], pa.string())
    return pa.table(data)
