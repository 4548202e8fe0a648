"""Scores a submission: every item gets a state or a status, every metric a value with an interval.

Rules (the protocol): items match by id; a failed item counts the metric's floor and shows in the coverage;
nothing is dropped or substituted; identical (output, reference) pairs are measured once; the numbers do not
depend on the number of workers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xmbench import registry
from xmbench.errors import PrerequisiteError, UnknownNameError, nearest
from xmbench.evaluator.check import OpenedSubmission, Problem, id_problems, open_checked
from xmbench.evaluator.class_references import gathered
from xmbench.evaluator.environment import environment
from xmbench.evaluator.item_records import Ledger, distinct_pairs
from xmbench.evaluator.judge import LoadedJudge, judging_context
from xmbench.evaluator.measure import CHUNK, JUDGE_BATCH, JUDGED_PER_WORKER, Chunk, States, Work, measured
from xmbench.evaluator.resume import Measurements, measurements
from xmbench.evaluator.set_metrics import Finished, centred_interval, finished, item_values
from xmbench.execution.engine import Engine, Workers
from xmbench.formats.dataset import Dataset
from xmbench.formats.recipe import TrackSpec
from xmbench.formats.result import Result, Score
from xmbench.interfaces import AgainstClass, ItemState, Metric, ScoringContext, judges_of
from xmbench.statistics import RESAMPLES, SEED, Counted, counted, intervals, one_thread

PROTOCOL = "xmbench-protocol/1"


@dataclass(frozen=True, slots=True)
class Scored:
    """A result, its per-item table (one row per id) and everything that was wrong with the submission.

    `taken_up` is how many distinct pairs an earlier, interrupted run had measured.
    """

    result: Result
    items: pa.Table
    problems: tuple[Problem, ...]
    taken_up: int = 0


def score(
    submission: Path | OpenedSubmission,
    dataset: Dataset,
    *,
    metrics: Sequence[str] = (),
    workers: int = 1,
    engine: Engine = "local",
    ray_address: str = "",
    command: str = "",
    judge: LoadedJudge | None = None,
    second_judge: LoadedJudge | None = None,
    progress: Callable[[int, int], None] | None = None,
    partial: Path | None = None,
    track: TrackSpec | None = None,
) -> Scored:
    """Scores a submission against a data set.

    Args:
        submission: the folder, or what `open_for` found there.
        dataset: what it was made for.
        metrics: only these of the track's metrics; empty for all.
        workers: processes.
        engine: "local" for processes of this machine, "ray" for a Ray cluster.
        ray_address: of the cluster; "" for $RAY_ADDRESS, or a cluster of this machine alone.
        command: noted in the result.
        judge: the track's judge; metrics that need one are refused without.
        second_judge: the track's second judge, if it has one.
        progress: called with (distinct pairs measured, items seen).
        partial: folder where measured pairs are kept on the way and taken up from; None to keep none.
        track: instead of the data set's track of today, an earlier one of the same direction and split.

    Raises:
        SubmissionError: it belongs to other data, or has no outputs.
        UnknownNameError: a metric that the track does not have.
        PrerequisiteError: a metric needs a judge and there is none.
    """
    opened = open_checked(submission, dataset)
    opened = opened if track is None else replace(opened, track=track)
    names = _chosen(opened, metrics)
    judged = tuple(name for name in names if judges_of(registry.metric(name)))
    plain = tuple(name for name in names if name not in judged)
    if judged and judge is None:
        raise PrerequisiteError(
            f"{', '.join(judged)}: no judge for {opened.submission.track}",
            todo=f"xmbench fit-judge {dataset.folder}, or leave the metric out with --metrics",
        )
    judging = judging_context(dataset, judge, second_judge)
    ledger = Ledger()
    judges = " ".join(each.stamp for each in (judge, second_judge) if each)
    kept = measurements(partial, dataset, names, judges, PROTOCOL)

    def tell() -> None:
        if progress:
            progress(kept.measured, len(ledger.ids))

    work = _chunks(distinct_pairs(opened, dataset, ledger, plain), kept, plain, judged)
    if not plain:
        workers = max(1, min(workers, len(opened.ids) // JUDGED_PER_WORKER))
    with _context(opened, dataset, plain, judging) as context:
        try:
            with closing(measured(work, context, Workers(workers, engine, ray_address))) as chunks:
                for chunk in chunks:
                    for key, own in chunk:
                        kept.add(key, own)
                    tell()
        except BaseException:  # Ctrl-C too: what is measured is kept for the next run
            kept.flush()
            raise
    tell()
    columns = {name: _items(registry.metric(name), ledger, kept.states) for name in names}
    with one_thread():
        whole = finished(columns, ledger, dataset, opened.track, judging)
        scores = _scores(columns, ledger.groups, whole)
    items = _items_table(ledger, dataset, columns, whole)
    cards = [each.card if each and judged else None for each in (judge, second_judge)]
    manifest, track = dataset.manifest, opened.track
    versions = {name: score.metric_version for name, score in scores.items()}
    result = Result(
        protocol=PROTOCOL,
        track=opened.submission.track,
        regime=dataset.recipe.regime,
        split=track.split,
        primary=track.primary,
        limit=manifest.limit,
        track_spec=track,
        track_digest=track.track_digest(versions),
        data_digest=manifest.data_digest,
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
    return Scored(result, items, (*id_problems(opened), *ledger.problems), kept.taken_up)


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


@contextmanager
def _context(
    opened: OpenedSubmission, dataset: Dataset, metrics: tuple[str, ...], judging: ScoringContext
) -> Iterator[ScoringContext]:
    """What metrics may know: the judges, and the classes' references where a metric asks for them."""
    if not any(isinstance(registry.metric(name), AgainstClass) for name in metrics):
        yield judging
        return
    with gathered(dataset, opened.track.split) as references:
        yield replace(judging, references=references)


def _chunks(
    distinct: Iterator[Work], kept: Measurements, plain: tuple[str, ...], judged: tuple[str, ...]
) -> Iterator[Chunk]:
    """What is left to be measured, in id order: by the plain metrics in small chunks, by the judges in batches."""
    chunk: list[Work] = []
    batch: list[Work] = []
    for work in distinct:
        kept.meet(work.key)
        batch.append(work)
        if len(batch) == JUDGE_BATCH:
            yield from _batch(batch, judged, kept)
            batch = []
        if kept.lacks(work.key, plain):
            chunk.append(work)
        if len(chunk) == CHUNK:
            yield Chunk(tuple(chunk), plain)
            chunk = []
    yield from _batch(batch, judged, kept)
    if chunk:
        yield Chunk(tuple(chunk), plain)


def _batch(batch: list[Work], judged: tuple[str, ...], kept: Measurements) -> Iterator[Chunk]:
    """A batch is judged whole or not at all: what it is judged with could change a value's last digit."""
    lacking = tuple(name for name in judged if any(kept.lacks(work.key, [name]) for work in batch))
    if batch and lacking:
        yield Chunk(tuple(batch), lacking)


def _items(metric: Metric, ledger: Ledger, states: dict[bytes, States]) -> list[ItemState]:
    """One metric's state of every item."""
    found = []
    for position, (key, status) in enumerate(zip(ledger.keys, ledger.statuses, strict=True)):
        if key is not None:
            found.append(states[key][metric.name])
        else:
            found.append(ItemState(ledger.outside.get((metric.name, position), status)))
    return found


def _scores(
    columns: dict[str, list[ItemState]], groups: Sequence[str], whole: Mapping[str, Finished]
) -> dict[str, Score]:
    """Every metric over all items; metrics over the same items share the resamples of their intervals."""
    metrics = {name: registry.metric(name) for name in columns}
    tables: dict[str, NDArray[np.float64]] = {}
    alike: dict[tuple[bool, ...], list[str]] = {}
    for name, items in columns.items():
        own = _counted(metrics[name], items, whole.get(name))
        kept = tuple(own.counts.tolist())
        if any(kept):
            tables[name] = own.values[own.counts]
        if any(kept) and not (name in whole and whole[name].centred):
            alike.setdefault(kept, []).append(name)
    ends: dict[str, tuple[float, float]] = {}
    for kept, names in alike.items():
        members = [group for group, keep in zip(groups, kept, strict=True) if keep]
        ends.update(zip(names, intervals([(metrics[n].reduce, tables[n]) for n in names], members), strict=True))
    for name, done in whole.items():
        if done.centred:
            ends[name] = centred_interval(metrics[name], done, _value(metrics[name], done.table), groups)
    return {
        name: _score(metrics[name], items, tables.get(name), ends.get(name), name in whole)
        for name, items in columns.items()
    }


def _counted(metric: Metric, items: list[ItemState], whole: Finished | None) -> Counted:
    """States (N, D) with the floor where an item failed, and which of them enter the mean."""
    measured = np.array([whole is not None or item.state is not None for item in items], dtype=np.bool_)
    if whole is not None:
        states = whole.table
    else:
        width = next((len(item.state) for item in items if item.state is not None), 1)
        states = np.zeros((len(items), width))
        states[measured] = [item.state for item in items if item.state is not None] or 0.0
    return counted(states, measured, [item.status for item in items], metric.floor, metric.left_out)


def _score(
    metric: Metric,
    items: list[ItemState],
    table: NDArray[np.float64] | None,
    ends: tuple[float, float] | None,
    whole_set: bool,
) -> Score:
    """One metric over all items; no value where the mean has no items."""
    value = None if table is None else _value(metric, table)
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
        left_out=tuple(sorted(metric.left_out)),
        whole_set=whole_set,
    )


def _value(metric: Metric, table: NDArray[np.float64]) -> float:
    """The score of all items, each counted once."""
    return float(metric.reduce(table, np.ones((1, len(table))))[0])


def _items_table(
    ledger: Ledger, dataset: Dataset, columns: dict[str, list[ItemState]], whole: Mapping[str, Finished]
) -> pa.Table:
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
        if name in whole:
            values = item_values(registry.metric(name), whole[name])
        data[name] = pa.array(values, pa.float64())
        data[f"{name}:status"] = pa.array([str(item.status) for item in items], pa.string())
    return pa.table(data)
