"""word-accuracy-second: share of outputs that the track's second judge hears as the right word.

Another network on other features. A system that pleases both has said the word; one that was fitted to the first judge
loses here what it won there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, Modality, Pair, ScoringContext, Status
from xmbench.metrics._judged import mean, verdicts


@dataclass(frozen=True, slots=True)
class WordAccuracySecond:
    """State of an item: 1 if heard right else 0, the class heard (K for none), the right word's probability."""

    name: str = "word-accuracy-second"
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
    second: bool = True
    citation: str = "the protocol of xmbench: a second frozen judge of another architecture"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """What the second judge hears in each output.

        Raises:
            PrerequisiteError: no second judge, or one that knows other words.
        """
        return verdicts(pairs, context.second_judge, context.task, self.name)

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted share of right words."""
        return mean(states, weights)


METRIC = WordAccuracySecond()
