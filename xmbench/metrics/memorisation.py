"""memorisation: share of outputs that are nearer to a training item than real items are. Lower is better.

A system that hands out its training items has perfect statistics and has made nothing. For each output the distance to
its nearest training item is taken, in the judge's embedding and in that of the random convolutions, each in units of
the median of the same distance over the distinct references; the smaller of the two counts. An output counts 1 if that
is at most the 5 % quantile of the distinct references' own. So real held-out items score 0.05, copies score 1 (with
invisible noise too), and what resembles no training item scores 0, good or bad: read it with `class-frechet-distance`.
A system of stored images is shown as what it is.

Where the references themselves are training items (single-take sounds) it says nothing. The threshold is fixed over all
items; the bootstrap draws items.

In 0..1, lower is better; a failed item counts 1. A state is the distances of the output in both embeddings, then those
of the reference. Here the references are 1 to 9 away in both; the quantile is 1.4, and two outputs are as near:

    >>> import numpy as np
    >>> known = np.arange(1.0, 10.0)
    >>> made = np.array([0.0, 1.3, 1.5, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0])
    >>> table = METRIC.finish(np.stack([made, made, known, known], axis=1), np.ones(9, dtype=bool))
    >>> METRIC.reduce(table, np.ones((1, 9))).round(3)
    array([0.222])
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.judges.random_convolutions import channels_of, digest
from xmbench.judges.training_embeddings import read_training
from xmbench.measures.neighbours import nearest_distances
from xmbench.metrics._distributions import randomly_embedded
from xmbench.metrics._judged import embedded, judge_weights, outputs, references
from xmbench.metrics._mean import mean
from xmbench.statistics import one_thread

QUANTILE = 0.05
_read = functools.lru_cache(maxsize=4)(read_training)


@dataclass(frozen=True, slots=True)
class Memorisation:
    """Value of an item: 1 if its output is as near to a training item as few real items are; without an output 1."""

    name: str = "memorisation"
    version: str = "1"
    modality: Modality | Literal["any"] = "any"
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = False
    floor: float = 1.0
    left_out: frozenset[Status] = frozenset()
    judges: tuple[JudgeRole, ...] = ("first",)
    against_training: bool = True
    centred: bool = False
    smallest_difference: float = 0.02  # what chance makes of 5 % on some hundred items
    citation: str = "the protocol of xmbench, after Meehan et al., A Non-Parametric Test to Detect Data-Copying, 2020"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """Distances to the nearest training item: of the output by judge and random convolutions, of the reference.

        Raises:
            PrerequisiteError: there is no judge, or the training items are not there.
        """
        judge = judge_weights(context, "first", self.name)
        if context.training is None:
            raise PrerequisiteError(f"{self.name} needs the training items of the data set")
        files, random = context.training.files, digest(channels_of(pairs[0].output))
        judged = np.stack([item.state[:-1] for item in embedded(pairs, context, self.name) if item.state is not None])
        blocks = [(judged, files[judge.sha256]), (np.stack(randomly_embedded(pairs, context)), files[random])]
        with one_thread():
            made = [_distances(outputs(block), path) for block, path in blocks]
            known = [_distances(references(block), path) for block, path in blocks]
        return [ItemState("ok", row) for row in np.stack([*made, *known], axis=1)]

    def finish(self, states: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(N, 4) -> (N, 1)."""
        made, known = states[:, :2], np.unique(states[:, 2:], axis=0)
        usual = np.median(known, axis=0)
        unit = np.where(usual > 0, usual, 1.0)
        limit = np.quantile((known / unit).min(axis=1), QUANTILE)
        near: NDArray[np.bool_] = (made / unit).min(axis=1) <= limit
        return np.where(usable, near, True)[:, None].astype(np.float64)

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted shares."""
        return mean(states, weights)


def _distances(points: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    known = _read(path)
    if not len(known):
        raise PrerequisiteError("the data set has no training items to compare with")
    return nearest_distances(points, known)


METRIC = Memorisation()
