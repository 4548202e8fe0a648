"""What the reference-based speech metrics share: resampling, one measurement per pair, the mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.media.audio import resample
from xmbench.media.signal import Sound
from xmbench.metrics._mean import mean

WIDE_HZ = 16_000
Value = TypeVar("Value")


def at_16_khz(sound: Sound) -> NDArray[np.float32]:
    """The sound at 16 kHz (soxr HQ), float32 (T',), computed once per sound."""
    return sound.derived("16 kHz", lambda s: resample(s.samples, s.sample_rate_hz, WIDE_HZ))


def sounds(pair: Pair) -> tuple[Sound, Sound]:
    """Reference and output of an audio pair."""
    if not isinstance(pair.reference, Sound) or not isinstance(pair.output, Sound):
        raise TypeError("a speech metric needs sounds on both sides")
    return pair.reference, pair.output


def once(pair: Pair, key: str, measure: Callable[[Sound, Sound], Value]) -> Value:
    """A measurement that several metrics read, made once per pair."""
    if key not in pair.shared:
        pair.shared[key] = measure(*sounds(pair))
    value: Value = pair.shared[key]
    return value


def item(value: float | None, status: Status, detail: str = "") -> ItemState:
    """A one-number state, or a status."""
    if value is None:
        return ItemState(status, None, detail)
    return ItemState("ok", np.array([value]))


def each(pairs: Sequence[Pair], measure: Callable[[Pair], ItemState]) -> list[ItemState]:
    """One state per pair; a silent reference cannot be scored."""
    return [
        measure(pair)
        if sounds(pair)[0].samples.any()
        else ItemState("reference-unscorable", None, "the reference is silent")
        for pair in pairs
    ]


@dataclass(frozen=True, slots=True)
class SpeechMetric:
    """A metric whose value on an item needs only that item's pair; the score is the mean.

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
    modality: Modality = "audio"
    higher_is_better: bool = True
    judges: tuple[JudgeRole, ...] = ()
    smallest_difference: float = 0.0

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """One state per pair."""
        return each(pairs, self.measure)

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted means."""
        return mean(states, weights)
