"""Accuracy by the track's judges: one of them names the right class, or both do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.metrics._judged import both_named, judge_weights, verdicts
from xmbench.metrics._mean import mean


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of outputs in which a judge of the track names the right class.

    State of an item: 1 if named right else 0, the class named (K for none), the right class's probability. Attributes
    as in `xmbench.interfaces.Metric` and `Naming`.
    """

    name: str
    version: str
    modality: Modality | Literal["any"]
    citation: str
    judges: tuple[JudgeRole, ...] = ("first",)
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset()
    named_class: int = 1
    smallest_difference: float = 0.01  # one item in a hundred

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """What the judge finds in each output.

        Raises:
            PrerequisiteError: no such judge, or one with other classes.
        """
        return verdicts(pairs, judge_weights(context, self.judges[0], self.name), context.task)

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted share of right classes."""
        return mean(states, weights)


@dataclass(frozen=True, slots=True)
class AgreedAccuracy:
    """Share of outputs in which both judges of the track name the right class.

    State of an item: 1 if both do else 0, the class of the first judge (K for none), that of the second. Attributes as
    in `xmbench.interfaces.Metric`.
    """

    name: str
    version: str
    modality: Modality
    citation: str
    judges: tuple[JudgeRole, ...] = ("first", "second")
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset()
    smallest_difference: float = 0.01  # one item in a hundred

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """The classes that the two judges give each output.

        Raises:
            PrerequisiteError: one of the judges is missing, or has other classes.
        """
        found = both_named(pairs, context, self.name)
        return [
            ItemState("ok", np.array([float(pair.label == one == other), float(one), float(other)]))
            for pair, (one, other) in zip(pairs, found, strict=True)
        ]

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted share of outputs in which both recognise the right class."""
        return mean(states, weights)
