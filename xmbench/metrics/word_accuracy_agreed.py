"""word-accuracy-agreed: share of outputs in which both judges of the track recognise the right word.

Primary where takes vary. One judge alone has words of its own: sounds that were optimised against it, and half-right
sounds that it accepts out of habit. The two differ in architecture and features. Sounds optimised against both pass:
they are told by `corr2d-best5`, which is far below that of a random clip, and are not ranked.

Mean over the items of [class of the first judge = class of the second = the right one]. In 0..1, higher is better; a
failed item counts 0. A state is (right, class of the first, class of the second), the number of classes for none:

    >>> import numpy as np
    >>> METRIC.reduce(np.array([[1, 3, 3], [0, 2, 7], [0, 10, 10], [1, 1, 1]]), np.ones((1, 4)))
    array([0.5])
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
class AgreedAccuracy:
    """State of an item: 1 if both name the right word else 0, the class of the first judge, that of the second."""

    name: str = "word-accuracy-agreed"
    version: str = "1"
    modality: Modality = "audio"
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset()
    judges: tuple[JudgeRole, ...] = ("first", "second")
    citation: str = "the protocol of xmbench: a word counts if two frozen judges of different architectures hear it"
    smallest_difference: float = 0.01

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """The classes that the two judges give each output.

        Raises:
            PrerequisiteError: one of the judges is missing, or has other words.
        """
        found = both_named(pairs, context, self.name)
        return [
            ItemState("ok", np.array([float(pair.label == one == other), float(one), float(other)]))
            for pair, (one, other) in zip(pairs, found, strict=True)
        ]

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted share of outputs in which both recognise the right word."""
        return mean(states, weights)


METRIC = AgreedAccuracy()
