"""frechet-distance: distance between the distributions of outputs and references, in the judge's embedding.

Lower is better. Two normal distributions are fitted, and their squared Frechet distance is taken:
|m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2). Its unit is the judge's own: numbers under different judges, or
on splits of different size, cannot be compared (few items make it larger).

An output counts at most ten times the references' spread (the root of their variance) from the references' mean. A
failed item counts that distance and adds nothing to the outputs' variety (`xmbench.measures.frechet.with_failures`): no
output in its place scores worse, so that leaving items out gains nothing. Resampling repeats items, which makes the
distance larger; the interval is therefore the value and the spread of the resamples around their own mean.

At least 0. Outputs (D = 1) that are the references moved by 3, with the same spread: the distance is 3^2.

    >>> import numpy as np
    >>> known = np.array([[0.0], [1.0], [2.0]])
    >>> table = METRIC.finish(np.hstack([known + 3.0, known, np.zeros((3, 1))]), np.ones(3, dtype=bool))
    >>> METRIC.reduce(table, np.ones((1, 3))).round(6)
    array([9.])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.measures.frechet import Matrix, frechet, moments, reach_of, with_failures, within
from xmbench.metrics._judged import embedded, outputs, references


@dataclass(frozen=True, slots=True)
class FrechetDistance:
    """An item has no value of its own; its state is the embeddings of output and reference."""

    name: str = "frechet-distance"
    version: str = "2"
    modality: Modality | Literal["any"] = "any"
    unit: str = ""
    low: float = 0.0
    high: float = float("inf")
    higher_is_better: bool = False
    floor: float | None = None
    left_out: frozenset[Status] = frozenset()
    judges: tuple[JudgeRole, ...] = ("first",)
    centred: bool = True
    smallest_difference: float = 0.05  # less than two draws of real training images differ by
    citation: str = "Dowson and Landau, 1982; Heusel et al., GANs Trained by a Two Time-Scale Update Rule, 2017, eq. 6"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """Embeddings of output and reference."""
        return embedded(pairs, context, self.name)

    def finish(self, states: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(N, 2 D + 1) -> (N, 2 D + 2): outputs within the reach, references, the reach, usable."""
        made, known = outputs(states), references(states)
        reach = reach_of(known)
        column = np.full((len(states), 1), reach)
        return np.hstack([within(made, known.mean(axis=0), reach), known, column, usable[:, None]])

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distances of B weighted samples."""
        return np.array([_of_sample(states, row) for row in weights])


def _of_sample(states: Matrix, weights: NDArray[np.float64]) -> float:
    drawn = weights > 0
    own, counts = states[drawn], weights[drawn]
    pairs, reach, usable = own[:, :-2], float(own[0, -2]), own[:, -1] > 0
    made, known = outputs(pairs), moments(references(pairs), counts)
    if usable.all():
        return frechet(*moments(made, counts), *known)
    return with_failures(made[usable], counts[usable], float(counts[~usable].sum()), *known, reach)


METRIC = FrechetDistance()
