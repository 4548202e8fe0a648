"""collapse: share of outputs that repeat another output. Lower is better.

An output repeats another one if the two are identical or nearly so: in the judge's embedding nearer than a tenth of the
median distance from a reference to its nearest other reference. References that are the same (single-take data) count
once in that median; with a single one it is the length of its embedding. So noise that nobody sees does not make copies
of one picture different. Items of all classes are compared. The neighbours are fixed over all items; the bootstrap
draws items.

A failed item counts 1, and might have been the twin of another output: for each, the output that is nearest to
repeating another counts 1 too, and outputs within twice the distance repeat each other. So leaving out all but one of
several repeated outputs gains nothing over handing in all of them.

A deterministic system gives one output for one condition: if conditions repeat, so do its outputs.

In 0..1. Four outputs (D = 1), two of them the same:

    >>> import numpy as np
    >>> made, known = np.array([[0.0], [0.0], [5.0], [9.0]]), np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> table = METRIC.finish(np.hstack([made, known, np.zeros((4, 1))]), np.ones(4, dtype=bool))
    >>> METRIC.reduce(table, np.ones((1, 4)))
    array([0.5])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.measures.neighbours import nearest_others
from xmbench.metrics._judged import embedded, outputs, references
from xmbench.metrics._mean import mean

NEAR = 0.1


@dataclass(frozen=True, slots=True)
class Collapse:
    """Value of an item: 1 if another output is the same or nearly so, else 0; without an output 1."""

    name: str = "collapse"
    version: str = "2"
    modality: Modality | Literal["any"] = "any"
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = False
    floor: float = 1.0
    left_out: frozenset[Status] = frozenset()
    judges: tuple[JudgeRole, ...] = ("first",)
    centred: bool = False
    smallest_difference: float = 0.01  # one item in a hundred
    citation: str = "the protocol of xmbench: share of outputs with a (near-)identical other output"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """Embeddings of output and reference."""
        return embedded(pairs, context, self.name)

    def finish(self, states: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(N, 2 D + 1) -> (N, 1)."""
        near = NEAR**2 * _usual(references(states))
        found = np.ones((len(states), 1))
        distances = nearest_others(outputs(states[usable]), 1)
        failed = len(states) - len(distances)
        if len(distances) == 1:
            distances[:] = np.inf
        repeats = distances <= (4.0 * near if failed else near)  # squares: twice the distance
        unique = np.flatnonzero(~repeats)
        repeats[unique[np.argsort(distances[unique], kind="stable")[:failed]]] = True
        found[usable, 0] = repeats
        return found

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted shares."""
        return mean(states, weights)


def _usual(references: NDArray[np.float64]) -> float:
    """The squared distance of distinct references (N, D) to their nearest other one, median."""
    known = np.unique(references, axis=0)
    if len(known) == 1:
        return float(np.square(known).sum())
    return float(np.median(nearest_others(known, 1)))


METRIC = Collapse()
