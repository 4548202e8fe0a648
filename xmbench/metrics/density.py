"""density: how many references' neighbourhoods an output lies in, as the judge sees it (k = 5).

Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, 2020, eq. 4. A reference's neighbourhood is
the ball that reaches to its fifth nearest other reference; an output counts the number of balls that hold it, divided
by five. Unlike `precision` it is not led by a single isolated reference with a large ball. Outputs where references are
dense score above 1, so more is not always better: real held-out items score about 1, the references themselves about
1.2, since each is in its own ball. References that repeat count once. The balls are fixed over all items; the bootstrap
draws items.

At least 0, higher is better; a failed item counts 0. Eight references on a line (D = 1), their balls reaching 5, 4, 3,
3, 3, 3, 4, 5, and outputs half a unit further along, the last one far away:

    >>> import numpy as np
    >>> known = np.arange(8.0)[:, None]
    >>> made = np.array([[0.5], [1.5], [2.5], [3.5], [4.5], [5.5], [6.5], [99.0]])
    >>> table = METRIC.finish(np.hstack([made, known, np.zeros((8, 1))]), np.ones(8, dtype=bool))
    >>> (5.0 * table[:, 0]).tolist()
    [4.0, 5.0, 8.0, 8.0, 8.0, 5.0, 4.0, 0.0]
    >>> METRIC.reduce(table, np.ones((1, 8)))
    array([1.05])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.measures.neighbours import nearest_others, times_inside
from xmbench.metrics._judged import embedded, outputs, references
from xmbench.metrics._mean import mean

NEIGHBOURS = 5


@dataclass(frozen=True, slots=True)
class Density:
    """Value of an item: balls of references that hold its output, over k; without an output 0."""

    name: str = "density"
    version: str = "1"
    modality: Modality | Literal["any"] = "any"
    unit: str = ""
    low: float = 0.0
    high: float = float("inf")
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset()
    judges: tuple[JudgeRole, ...] = ("first",)
    centred: bool = False
    smallest_difference: float = 0.05  # a single output lies in anything from 0 to several times k balls
    citation: str = "Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, 2020, eq. 4"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """Embeddings of output and reference."""
        return embedded(pairs, context, self.name)

    def finish(self, states: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(N, 2 D + 1) -> (N, 1)."""
        known = np.unique(references(states), axis=0)
        found = times_inside(outputs(states), known, nearest_others(known, NEIGHBOURS)) / NEIGHBOURS
        return np.where(usable, found, 0.0)[:, None]

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted means."""
        return mean(states, weights)


METRIC = Density()
