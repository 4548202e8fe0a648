"""class-frechet-distance: distance of outputs to references within each class, averaged over the classes.

Lower is better. A class is the items of one label. In an embedding, the squared Frechet distance of a class's outputs
to its references is taken (`xmbench.measures.class_frechet`: 16 principal axes of the class, the other directions
together) and divided by the references' spread within a class, the trace of their covariance, averaged over classes. So
0 is the references themselves, and 1 the class's mean at every item: right on average, without any spread. In an image
embedding the mean image is off the centre as well, and scores above 1. Right images with a wrong one among them are
charged for it, and so are wrong or missing modes: neither accuracy nor variety alone makes it small.

It is computed in the judge's embedding and in one of fixed random convolutions (`xmbench.judges.random_convolutions`),
and the worse (larger) of the two means counts: a pattern that the judge does not see changes the other one.

An output counts at most 10 spreads of squared distance from its class. A failed item counts that distance and adds
nothing to the outputs' variety: no output in its place scores worse. Resampling repeats items, which makes the distance
larger; the interval is the value and the spread of the resamples around their own mean.

In 0..11, and above 10 where every item failed. Outputs that are the references moved by twice their standard deviation
(D = 1 in the judge's embedding; the other one holds no difference) score 2^2:

    >>> import numpy as np
    >>> known, same = np.array([[0.0], [2.0]]), np.zeros((2, 2 * RANDOM_SIZE))
    >>> states = np.hstack([known + 2.0, known, same, np.zeros((2, 1))])
    >>> METRIC.reduce(METRIC.finish(states, np.ones(2, dtype=bool)), np.ones((1, 2)))
    array([4.])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.measures.class_frechet import HIGHEST, distances, in_class_axes
from xmbench.metrics._distributions import RANDOM_SIZE, randomly_embedded
from xmbench.metrics._judged import embedded

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassFrechetDistance:
    """An item has no value of its own; its state is both embeddings of output and reference, and the label."""

    name: str = "class-frechet-distance"
    version: str = "1"
    modality: Modality | Literal["any"] = "any"
    unit: str = ""
    low: float = 0.0
    high: float = HIGHEST
    higher_is_better: bool = False
    floor: float | None = None
    left_out: frozenset[Status] = frozenset()
    judges: tuple[JudgeRole, ...] = ("first",)
    centred: bool = True
    smallest_difference: float = 0.05  # two seeds of the same stored images differ by as much on 360 items
    citation: str = "the protocol of xmbench, after Dowson and Landau, 1982, and Heusel et al., 2017, eq. 6"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """Both embeddings of output and reference, and the label: (2 D + 128 + 1,)."""
        judged = embedded(pairs, context, self.name)
        found = []
        for state, random in zip(judged, randomly_embedded(pairs, context), strict=True):
            assert state.state is not None  # an embedding exists for every readable item
            found.append(ItemState("ok", np.concatenate([state.state[:-1], random, state.state[-1:]])))
        return found

    def finish(self, states: Matrix, usable: NDArray[np.bool_]) -> Matrix:
        """(N, 2 D + 129) -> (N, 2 D + 130): label, usable, then both embeddings as seen from the class."""
        labels = states[:, -1]
        parts = [labels[:, None], usable[:, None].astype(np.float64)]
        for block in _embeddings(states[:, :-1]):
            made, known = np.hsplit(block, 2)
            parts += in_class_axes(made, known, labels)
        return np.hstack(parts)

    def reduce(self, states: Matrix, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The larger of both embeddings' means over the classes."""
        labels, usable = states[:, 0], states[:, 1] > 0
        means = []
        for block in _embeddings(states[:, 2:]):
            made, known = np.hsplit(block, 2)
            own = [
                distances(made[rows], known[rows], usable[rows], weights[:, rows])
                for rows in (labels == label for label in np.unique(labels))
            ]
            means.append(np.nanmean(np.stack(own), axis=0))
        return np.asarray(np.max(means, axis=0))


def _embeddings(values: Matrix) -> tuple[Matrix, Matrix]:
    """Outputs and references (N, 2 D) in the judge's embedding, and (N, 128) in the random one."""
    return values[:, : -2 * RANDOM_SIZE], values[:, -2 * RANDOM_SIZE :]


METRIC = ClassFrechetDistance()
