"""diversity: how much the outputs of one class differ from each other, relative to its references.

In the judge's embedding, d(i) is the mean Euclidean distance of output i to the other outputs of its class, r(i) the
same among the references. A class scores sum d / sum r, at most 1 (noise that varies more than the references is not
better than they are); the score is the mean over classes, weighted by their items. One picture per class scores 0,
the references themselves 1. A failed item has d = 0: by the triangle inequality, leaving an output out never adds more
to the d of the others than its own d was. A class whose references are all identical requires no diversity and scores
its share of usable outputs. Distances are fixed over all items; the bootstrap draws items.

In 0..1, higher is better. Outputs (D = 1) half as far apart as their references:

    >>> import numpy as np
    >>> made, known = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [2.0], [4.0]])
    >>> table = METRIC.finish(np.hstack([made, known, np.zeros((3, 1))]), np.ones(3, dtype=bool))
    >>> METRIC.reduce(table, np.ones((1, 3)))
    array([0.5])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.measures.neighbours import mean_distance_to_others
from xmbench.metrics._judged import embedded, outputs, references


@dataclass(frozen=True, slots=True)
class Diversity:
    """Value of an item: d(i) relative to the mean of r over its class; above 1 if it differs more than they do."""

    name: str = "diversity"
    version: str = "1"
    modality: Modality | Literal["any"] = "any"
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset()
    judges: tuple[JudgeRole, ...] = ("first",)
    centred: bool = False
    smallest_difference: float = 0.02  # real items drawn again differ by as much
    citation: str = "the protocol of xmbench: within-class mean pairwise distance of outputs over that of references"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """Embeddings of output and reference, and the label."""
        return embedded(pairs, context, self.name)

    def finish(self, states: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(N, 2 D + 1) -> (N, 5): own value, d, r, usable, class."""
        labels = states[:, -1]
        found = np.zeros((len(states), 5))
        found[:, 3], found[:, 4] = usable, labels
        for label in np.unique(labels):
            own = labels == label
            made = own & usable
            found[made, 1] = mean_distance_to_others(outputs(states[made]))
            found[own, 2] = mean_distance_to_others(references(states[own]))
            spread = found[own, 2].mean()
            found[own, 0] = found[own, 1] / spread if spread > 0 else found[own, 3]
        return found

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over classes of min(1, sum d / sum r), weighted by items."""
        labels = states[:, 4]
        total = np.zeros(len(weights))
        for label in np.unique(labels):
            own = labels == label
            count = weights[:, own].sum(axis=1)
            made, known, usable = (weights[:, own] @ states[own, column] for column in (1, 2, 3))
            asked = known > 0
            ratio = np.minimum(1.0, made / np.where(asked, known, 1.0))
            total += np.where(asked, ratio * count, usable)
        return np.asarray(total / weights.sum(axis=1))


METRIC = Diversity()
