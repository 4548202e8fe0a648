"""The class that a judge gives every output of a submission, not only whether it is the right one.

The per-item table keeps one value per metric, so the verdicts are computed again, in the same batches as in `score`:
the same network on the same batches gives the same classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmbench import registry
from xmbench.evaluator.check import OpenedSubmission
from xmbench.evaluator.item_records import ItemRecords, distinct_pairs
from xmbench.evaluator.judge import LoadedJudge, judging_context
from xmbench.evaluator.measure import JUDGE_BATCH, pair_of, prepare
from xmbench.formats.dataset import Dataset
from xmbench.interfaces import Naming, Pair, ScoringContext


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """One metric's verdicts on a submission, in id order.

    Attributes:
        metric: the metric of the judge.
        names: names of the K classes.
        classes: int64 (N,): the class, K if the judge found none of them, -1 if there was nothing to judge.
    """

    metric: str
    names: tuple[str, ...]
    classes: NDArray[np.int64]


def naming_metrics(names: tuple[str, ...]) -> tuple[str, ...]:
    """The metrics among these whose judge names a class."""
    return tuple(name for name in names if isinstance(registry.metric(name), Naming))


def verdicts(
    opened: OpenedSubmission,
    dataset: Dataset,
    judge: LoadedJudge,
    metrics: tuple[str, ...],
    second: LoadedJudge | None = None,
) -> tuple[list[Verdicts], str]:
    """What the judge finds in each output, by metric.

    Args:
        opened: the submission.
        dataset: what it was made for.
        judge: the one that it was scored with.
        metrics: of `naming_metrics`.
        second: the second judge, if there is one.

    Returns:
        One value per metric, and the digest of the outputs as a result states it.

    Raises:
        PrerequisiteError: the judge has other classes.
        DatasetError: an item cannot be read.
    """
    records = ItemRecords()
    context = judging_context(dataset, judge, second)
    found: dict[str, dict[bytes, int]] = {name: {} for name in metrics}
    batch: list[tuple[bytes, Pair]] = []
    for work in distinct_pairs(opened, dataset, records, ()):
        batch.append((work.key, pair_of(work)))
        if len(batch) == JUDGE_BATCH:
            _judge(batch, context, found)
            batch = []
    _judge(batch, context, found)
    names = dataset.recipe.classes.names
    named = [
        Verdicts(name, names, np.asarray([-1 if key is None else own[key] for key in records.keys], dtype=np.int64))
        for name, own in found.items()
    ]
    return named, records.outputs_digest


def _judge(batch: list[tuple[bytes, Pair]], context: ScoringContext, found: dict[str, dict[bytes, int]]) -> None:
    if not batch:
        return
    for name, own in found.items():
        metric = registry.metric(name)
        assert isinstance(metric, Naming)
        for (key, _), state in zip(batch, prepare(name, [pair for _, pair in batch], context), strict=True):
            own[key] = -1 if state.state is None else int(state.state[metric.named_class])
