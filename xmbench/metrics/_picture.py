"""What metrics of one image against one reference share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.media.signal import Picture
from xmbench.metrics._mean import mean


def pixels(pair: Pair) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Reference and output as float64 (H, W, C), 0..255."""
    if not isinstance(pair.reference, Picture) or not isinstance(pair.output, Picture):
        raise TypeError("an image metric needs images on both sides")
    return pair.reference.pixels.astype(np.float64), pair.output.pixels.astype(np.float64)


@dataclass(frozen=True, slots=True)
class PictureMetric:
    """A metric whose value on an item needs only that item's pair of images; the score is the mean.

    Attributes as in `xmbench.interfaces.Metric`; `measure` gives one pair's state.
    """

    name: str
    version: str
    low: float
    high: float
    floor: float
    citation: str
    measure: Callable[[Pair], ItemState]
    left_out: frozenset[Status] = frozenset()
    unit: str = ""
    modality: Modality = "image"
    higher_is_better: bool = True
    judges: tuple[JudgeRole, ...] = ()
    smallest_difference: float = 0.0

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """One state per pair."""
        return [self.measure(pair) for pair in pairs]

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted means."""
        return mean(states, weights)
