"""within-class-retrieval: does an output carry more than its class? 0.5 is chance, 1 is perfect. Higher is better.

For each output: of other references of its class, the share that is farther from it than its own reference, in the
judge's embedding; equally near ones count one half. They are the references of other groups (takes, performers), each
group with the same weight. Windows of one take overlap, so the own group is used only where the class has no other:
then its windows that share no sound with the item's own. Items without alternatives are left out
("reference-unscorable") and show in the coverage: the data set alone decides which.

The score is the mean over the groups of each class of the mean over their items (in a class of one group, weighted by
their alternatives). Whatever gives one output per class therefore scores exactly 0.5: in the sum, "farther than that
one" stands beside "farther than this one" for each two references. Where images and sounds are paired by class only,
what differs from 0.5 is luck, but for the reference itself.

Ranks are fixed over all items; the bootstrap draws items. In 0..1; a failed item counts 0. Three items of one class,
each in a group of its own (D = 1), whose outputs are all the first reference: its owner is right twice, the second item
once, the third never.

    >>> import numpy as np
    >>> known = np.array([[0.0], [1.0], [3.0]])
    >>> table = METRIC.finish(np.hstack([0.0 * known, known, np.zeros((3, 1))]), np.ones(3, dtype=bool))
    >>> table[:, 0], METRIC.reduce(table, np.ones((1, 3)))
    (array([1. , 0.5, 0. ]), array([0.5]))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Origins, Pair, ScoringContext, Status
from xmbench.measures.within_class import own_reference_ranks
from xmbench.metrics._judged import embedded, outputs, references

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WithinClassRetrieval:
    """Value of an item: the normalised rank of its own reference among those of its class; without an output 0."""

    name: str = "within-class-retrieval"
    version: str = "1"
    modality: Modality | Literal["any"] = "any"
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset({"reference-unscorable"})
    judges: tuple[JudgeRole, ...] = ("first",)
    centred: bool = False
    smallest_difference: float = 0.02  # what random items of a class differ by on some hundred items
    citation: str = "the protocol of xmbench: area under the ROC curve of an item's own reference against its class's"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """Embeddings of output and reference, and the label.

        Raises:
            PrerequisiteError: there is no judge.
        """
        return embedded(pairs, context, self.name)

    def finish(self, states: Matrix, usable: NDArray[np.bool_]) -> Matrix:
        """(N, 2 D + 1) -> (N, 2), as if every item were a group of its own."""
        apart = Origins(tuple(map(str, range(len(states)))), np.full(len(states), np.nan), 0.0)
        return self.finish_by_origin(states, usable, apart)[0]

    def finish_by_origin(
        self, states: Matrix, usable: NDArray[np.bool_], origins: Origins
    ) -> tuple[Matrix, NDArray[np.bool_]]:
        """(N, 2 D + 1) -> (N, 2): rank, weight; and which items have alternatives."""
        found = np.zeros((len(states), 2))
        groups = np.asarray(origins.groups, dtype=object)
        for label in np.unique(states[:, -1]):
            own = states[:, -1] == label
            made, known = outputs(states[own]), references(states[own])
            ranks, found[own, 1] = own_reference_ranks(
                made, known, groups[own].tolist(), origins.starts_s[own], origins.length_s
            )
            found[own, 0] = np.where(usable[own], ranks, 0.0)
        return found, found[:, 1] > 0

    def reduce(self, states: Matrix, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted mean of the ranks; 0 where no item has alternatives."""
        counting = weights * states[:, 1]
        total = counting.sum(axis=1)
        return np.asarray(
            np.clip((counting * states[:, 0]).sum(axis=1) / np.where(total > 0, total, 1.0), self.low, self.high)
        )


METRIC = WithinClassRetrieval()
