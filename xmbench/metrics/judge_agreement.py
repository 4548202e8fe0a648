"""judge-agreement: share of outputs on which the track's two judges agree: the same word or none, right or wrong.

On ordinary outputs the two mostly agree; the agreement on the references shows how often. Outputs that were optimised
against one judge fall far below, at any word accuracy; those optimised against both need not. The judges also agree on
noise and silence: the metric is informative only if the word accuracy is above its lower bound.

Mean over the items of [class of the first judge = class of the second]. In 0..1, higher is better; a failed item counts
0. A state is (same, class of the first, class of the second):

    >>> import numpy as np
    >>> METRIC.reduce(np.array([[1, 3, 3], [0, 2, 7], [1, 10, 10], [1, 1, 1]]), np.ones((1, 4)))
    array([0.75])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.metrics._judged import both_named
from xmbench.metrics._mean import mean


@dataclass(frozen=True, slots=True)
class JudgeAgreement:
    """State of an item: 1 if both agree else 0, the class of the first judge (K for none), that of the second."""

    name: str = "judge-agreement"
    version: str = "1"
    modality: Modality = "audio"
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset()
    judges: tuple[JudgeRole, ...] = ("first", "second")
    citation: str = "the protocol of xmbench: two frozen judges of different architectures"
    smallest_difference: float = 0.01

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """The classes that the two judges give each output.

        Raises:
            PrerequisiteError: one of the judges is missing, or has other words.
        """
        return [
            ItemState("ok", np.array([float(one == other), float(one), float(other)]))
            for one, other in both_named(pairs, context, self.name)
        ]

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted share of outputs on which the judges agree."""
        return mean(states, weights)


METRIC = JudgeAgreement()
