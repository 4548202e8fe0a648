"""image-accuracy: share of outputs in which the track's image judge sees the right class.

The judge's accuracy on real test images is printed beside every score: no system can be trusted beyond it. A class
mean scores well here; `diversity` and `frechet-distance` show what this does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, Modality, Pair, ScoringContext, Status
from xmbench.metrics._judged import mean, verdicts


@dataclass(frozen=True, slots=True)
class ImageAccuracy:
    """State of an item: 1 if seen right else 0, the class seen (K for none), the right class's probability."""

    name: str = "image-accuracy"
    version: str = "1"
    modality: Modality = "image"
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset()
    needs_judge: bool = True
    named_class: int = 1
    second: bool = False
    citation: str = "the protocol of xmbench: a frozen image judge with a class for no image of the list"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """What the judge sees in each output.

        Raises:
            PrerequisiteError: no judge, or one that knows other classes.
        """
        return verdicts(pairs, context.judge, context.task, self.name)

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted share of right classes."""
        return mean(states, weights)


METRIC = ImageAccuracy()
