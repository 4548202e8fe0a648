"""word-accuracy: share of outputs that the track's spoken-word judge hears as the right word.

The judge's accuracy on real recordings is printed beside every score: no system can be trusted beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, Modality, Pair, ScoringContext, Status
from xmbench.metrics._judged import mean, verdicts


@dataclass(frozen=True, slots=True)
class WordAccuracy:
    """State of an item: 1 if heard right else 0, the class heard (K for none), the right word's probability."""

    name: str = "word-accuracy"
    version: str = "1"
    modality: Modality = "audio"
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset()
    needs_judge: bool = True
    named_class: int = 1
    second: bool = False
    citation: str = "the protocol of xmbench: a frozen spoken-word judge with a class for no word"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """What the judge hears in each output.

        Raises:
            PrerequisiteError: no judge, or one that knows other words.
        """
        return verdicts(pairs, context.judge, context.task, self.name)

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted share of right words."""
        return mean(states, weights)


METRIC = WordAccuracy()
