"""Scores a submission: every item gets a state or a status, every metric a value with an interval.

Rules (the protocol): items match by id; a failed item counts the metric's floor and shows in the coverage;
nothing is dropped or substituted; identical (output, reference) pairs are measured once; the numbers do not
depend on the number of workers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from xmbench import registry
from xmbench.errors import PrerequisiteError, UnknownNameError, nearest
from xmbench.evaluator.check import OpenedSubmission, Problem, id_problems, open_checked
from xmbench.evaluator.class_references import gathered
from xmbench.evaluator.clusters import Side, groups_of_sides
from xmbench.evaluator.environment import environment
from xmbench.evaluator.item_records import ItemRecords, distinct_pairs
from xmbench.evaluator.judge import LoadedJudge, judging_context
from xmbench.evaluator.measure import CHUNK, JUDGE_BATCH, JUDGED_PER_WORKER, Chunk, States, Work, measured
from xmbench.evaluator.resume import Measurements, measurements
from xmbench.evaluator.scores import metric_scores
from xmbench.evaluator.set_metrics import Finished, finished, item_values, with_coverage
from xmbench.evaluator.training_items import with_training
from xmbench.execution.engine import Engine, Workers
from xmbench.formats.dataset import Dataset
from xmbench.formats.intact import require_intact
from xmbench.formats.recipe import TrackSpec
from xmbench.formats.result import JudgeCard, Result, Score
from xmbench.interfaces import AgainstClass, ItemState, Metric, ScoringContext, judges_of
from xmbench.statistics import RESAMPLES, SEED, one_thread

PROTOCOL = "xmbench-protocol/2"


@dataclass(frozen=True, slots=True)
class Scored:
    """A result, its per-item table (one row per id) and every problem of the submission.

    `resumed` is the number of distinct pairs that an interrupted run had already measured.
    """

    result: Result
    items: pa.Table
    problems: tuple[Problem, ...]
    resumed: int = 0


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
        submission: the directory, or what `open_for` found there.
        dataset: what it was made for.
        metrics: only these of the track's metrics; empty for all.
        workers: processes.
        engine: "local" for processes of this machine, "ray" for a Ray cluster.
        ray_address: of the cluster; "" for $RAY_ADDRESS, or a cluster on this machine.
        command: recorded in the result.
        judge: the track's judge; metrics that need one are refused without it.
        second_judge: the track's second judge, if it has one.
        progress: called with (distinct pairs measured, items seen).
        partial: directory where measured pairs are kept, and from which a run resumes; None to keep none.
        track: an earlier track of the same direction and split, in place of the data set's own.

    Raises:
        SubmissionError: it was made for other data, or has no outputs.
        DatasetError: the rows of the split are not those of its manifest.
        UnknownNameError: a metric that the track does not have.
        PrerequisiteError: a metric needs a judge and there is none.
    """
    opened = open_checked(submission, dataset)
    require_intact(dataset, opened.track.split)
    opened = opened if track is None else replace(opened, track=track)
    names = _chosen(opened, metrics)
    judged = tuple(name for name in names if judges_of(registry.metric(name)))
    plain = tuple(name for name in names if name not in judged)
    if judged and judge is None:
        raise PrerequisiteError(
            f"{', '.join(judged)}: no judge for {opened.submission.track}",
            todo=f"xmbench fit-judge {dataset.folder}, or leave the metric out with --metrics",
        )
    if not plain:
        workers = max(1, min(workers, len(opened.ids) // JUDGED_PER_WORKER))
    judging = with_training(judging_context(dataset, judge, second_judge), dataset, opened.track, judged)
    records = ItemRecords()
    stamps = " ".join(each.stamp for each in (judge, second_judge) if each)
    kept = measurements(partial, dataset, names, stamps, PROTOCOL)
    work = _chunks(distinct_pairs(opened, dataset, records, plain), kept, plain, judged)
    with _context(opened, dataset, plain, judging) as context:
        states = measured(work, context, Workers(workers, engine, ray_address))
        _measure(states, kept, lambda: progress(kept.measured, len(records.ids)) if progress else None)
    columns = {name: _items(registry.metric(name), records, kept.states) for name in names}
    with one_thread():
        whole = finished(columns, records, dataset, opened.track, judging)
        columns = with_coverage(columns, whole)
        groups = groups_of_sides(dataset.recipe, opened.track.direction, records.ids, records.groups)
        scores = metric_scores(columns, groups, whole)
    items = _items_table(records, dataset, groups, columns, whole)
    cards = [each.card if each and judged else None for each in (judge, second_judge)]
    clusters = len(set(groups[_primary_side(opened.track, scores)]))
    result = _result(opened, dataset, records, scores, items, cards, command, clusters)
    return Scored(result, items, (*id_problems(opened), *records.problems), kept.resumed)


def _measure(
    states: Generator[list[tuple[bytes, States]], None, None], kept: Measurements, progress: Callable[[], None]
) -> None:
    """Measures everything that is left; after an interruption the next run resumes from what is measured."""
    try:
        with closing(states) as chunks:
            for chunk in chunks:
                for key, own in chunk:
                    kept.add(key, own)
                progress()
    except BaseException:  # Ctrl-C too: what is measured is kept for the next run
        kept.flush()
        raise
    progress()


def _result(
    opened: OpenedSubmission,
    dataset: Dataset,
    records: ItemRecords,
    scores: dict[str, Score],
    items: pa.Table,
    cards: Sequence[JudgeCard | None],
    command: str,
    clusters: int,
) -> Result:
    """The document, without the name of its per-item table; `cards` are of the judge and the second judge."""
    manifest, track = dataset.manifest, opened.track
    versions = {name: score.metric_version for name, score in scores.items()}
    return Result(
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
        outputs_digest=records.outputs_digest,
        submission=opened.submission,
        scores=scores,
        judge=cards[0],
        second_judge=cards[1],
        bootstrap={"resamples": RESAMPLES, "seed": SEED, "clusters": clusters},
        items_table="",
        items_digest=items_digest(items),
        environment=environment(command),
    )


def _primary_side(track: TrackSpec, scores: Mapping[str, Score]) -> Side:
    """The side whose groups are the clusters of the primary metric; of the reference if it is not scored."""
    return (scores[track.primary].depends_on or "reference") if track.primary in scores else "reference"


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
    """What metrics get: the judges, and the references of each class if a metric needs them."""
    if not any(isinstance(registry.metric(name), AgainstClass) for name in metrics):
        yield judging
        return
    with gathered(dataset, opened.track.split) as references:
        yield replace(judging, references=references)


def _chunks(
    distinct: Iterator[Work], kept: Measurements, plain: tuple[str, ...], judged: tuple[str, ...]
) -> Iterator[Chunk]:
    """What is left to measure, in id order: by the plain metrics in small chunks, by the judges in batches."""
    chunk: list[Work] = []
    batch: list[Work] = []
    for work in distinct:
        kept.resume(work.key)
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
    """A batch is never split: the other pairs of a batch could change the last digit of a value."""
    lacking = tuple(name for name in judged if any(kept.lacks(work.key, [name]) for work in batch))
    if batch and lacking:
        yield Chunk(tuple(batch), lacking)


def _items(metric: Metric, records: ItemRecords, states: dict[bytes, States]) -> list[ItemState]:
    """One metric's state of every item."""
    found = []
    for position, (key, status) in enumerate(zip(records.keys, records.statuses, strict=True)):
        if key is not None:
            found.append(states[key][metric.name])
        else:
            found.append(ItemState(records.outside.get((metric.name, position), status)))
    return found


def _items_table(
    records: ItemRecords,
    dataset: Dataset,
    groups: Mapping[Side, Sequence[str]],
    columns: dict[str, list[ItemState]],
    whole: Mapping[str, Finished],
) -> pa.Table:
    names = dataset.recipe.classes.names
    data = {
        "id": pa.array(records.ids, pa.string()),
        "label": pa.array(records.labels, pa.int64()),
        "class": pa.array([names[label] for label in records.labels], pa.string()),
        "group": pa.array(records.groups, pa.string()),
        "condition_group": pa.array(groups["condition"], pa.string()),
        "reference_group": pa.array(groups["reference"], pa.string()),
        "take": pa.array(records.takes, pa.string()),
        "output_sha256": pa.array(records.output_digests, pa.string()),
        "status": pa.array([str(status) for status in records.statuses], pa.string()),
        "detail": pa.array(records.details, pa.string()),
    }
    for name, items in columns.items():
        values = [None if item.state is None else float(item.state[0]) for item in items]
        if name in whole:
            values = item_values(registry.metric(name), whole[name])
        data[name] = pa.array(values, pa.float64())
        data[f"{name}:status"] = pa.array([str(item.status) for item in items], pa.string())
    return pa.table(data)
