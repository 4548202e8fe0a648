"""recall: share of references that the outputs could have been, as the judge sees them (improved recall, k = 3).

A reference counts if its embedding is within the manifold of the usable outputs: in a ball around any of them that
reaches to that output's third nearest other output. Ten pictures that are repeated a thousand times have balls of
radius 0. The manifold is fixed over all items; the bootstrap draws items against it.

A failed item counts 0, and its output might have been next to any other: for each failed item the balls reach to one
neighbour less, and with three or more nowhere. Otherwise leaving out outputs that lie close together would make the
balls of the others larger, and the score with them.

Known weakness of the published measure (Naeem et al., Reliable Fidelity and Diversity Metrics, 2020): an output that is
isolated has a large ball. Class means alone score 0.00 on 2,000 items of MNIST, with ten real images among them 0.64.
`coverage` does not have it. Read it with `diversity` and `class-frechet-distance`, never alone.

In 0..1, higher is better. Five references (D = 2), and outputs that are all near the first four of them:

    >>> import numpy as np
    >>> known = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [9.0, 9.0]])
    >>> made = np.vstack([known[:4], [[0.5, 0.5]]])
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
class Recall:
    """Value of an item: 1 if its reference is within the outputs' manifold, else 0; 0 if the item has no output."""

    name: str = "recall"
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
        made = outputs(states[usable])
        reach = NEIGHBOURS - int((~usable).sum())
        radii = nearest_others(made, reach) if reach > 0 else np.zeros(len(made))
        reached = inside(references(states), made, radii)
        return (reached & usable)[:, None].astype(np.float64)

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted shares."""
        return mean(states, weights)


METRIC = Recall()
