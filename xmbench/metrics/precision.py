"""precision: share of outputs that look real, as the judge sees them (improved precision, k = 3).

An output counts if its embedding is within the manifold of the references: in a ball around any of them that reaches to
that reference's third nearest other reference. References that repeat (many items share a recorded take) count once
here: otherwise their balls would have radius 0. The manifold is fixed over all items; the bootstrap draws items against
it.

In 0..1, higher is better. Five references and as many outputs (D = 2), one of them far from all references:

    >>> import numpy as np
    >>> known = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 2.0]])
    >>> made = known + np.array([[0.1], [0.1], [0.1], [0.1], [9.0]])
    >>> table = METRIC.finish(np.hstack([made, known, np.zeros((5, 1))]), np.ones(5, dtype=bool))
    >>> METRIC.reduce(table, np.ones((1, 5)))
    array([0.8])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.measures.neighbours import inside, nearest_others
from xmbench.metrics._judged import embedded, outputs, references
from xmbench.metrics._mean import mean

NEIGHBOURS = 3


@dataclass(frozen=True, slots=True)
class Precision:
    """Value of an item: 1 if its output is within the references' manifold, else 0; without an output 0."""

    name: str = "precision"
    version: str = "2"
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
    citation: str = "Kynkaanniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, 2019"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """Embeddings of output and reference."""
        return embedded(pairs, context, self.name)

    def finish(self, states: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(N, 2 D + 1) -> (N, 1)."""
        known = np.unique(references(states), axis=0)
        real = inside(outputs(states), known, nearest_others(known, NEIGHBOURS))
        return (real & usable)[:, None].astype(np.float64)

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted shares."""
        return mean(states, weights)


METRIC = Precision()
