"""coverage: share of references with an output in their neighbourhood, as the judge sees it (k = 5).

Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, 2020, eq. 5. A reference's neighbourhood is
the ball that reaches to its fifth nearest other reference. The balls are those of the references, so that an isolated
output covers nothing: one picture per class reaches only what is next to it, however good it is. As many independent
real items cover about 1 - 2^-5 = 0.97. References that repeat count once in the balls. What is covered is fixed over
all items; the bootstrap draws references.

In 0..1, higher is better; a failed item counts 0, and its output covers nothing. Eight references on a line (D = 1) and
outputs that are all 0: of the balls (they reach 5, 4, 3, 3, 3, 3, 4, 5) those of the first four references hold it.

    >>> import numpy as np
    >>> known = np.arange(8.0)[:, None]
    >>> table = METRIC.finish(np.hstack([0.0 * known, known, np.zeros((8, 1))]), np.ones(8, dtype=bool))
    >>> METRIC.reduce(table, np.ones((1, 8)))
    array([0.5])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.measures.neighbours import covered, nearest_others
from xmbench.metrics._judged import embedded, outputs, references
from xmbench.metrics._mean import mean

NEIGHBOURS = 5


@dataclass(frozen=True, slots=True)
class Coverage:
    """Value of an item: 1 if any output is in the ball of its reference, else 0; 0 if the item has no output."""

    name: str = "coverage"
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
    citation: str = "Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, 2020, eq. 5"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """Embeddings of output and reference."""
        return embedded(pairs, context, self.name)

    def finish(self, states: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(N, 2 D + 1) -> (N, 1)."""
        known, which = np.unique(references(states), axis=0, return_inverse=True)
        reached = covered(known, nearest_others(known, NEIGHBOURS), outputs(states[usable]))
        return (reached[which.reshape(-1)] & usable)[:, None].astype(np.float64)

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted shares."""
        return mean(states, weights)


METRIC = Coverage()
