"""What is measured of a spoken-word judge: accuracy, what it takes for its words, how right its confidence is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xmbench.judges.measuring import Judged
from xmbench.judges.words.clips import ByRate, Clips

_NOISES = 200
_NOISE_HZ = 16_000


class Judge(Protocol):
    """What is measured: either spoken-word judge."""

    @property
    def class_names(self) -> tuple[str, ...]: ...

    def probabilities(self, clips: Sequence[NDArray[np.float32]], sample_rate_hz: int) -> NDArray[np.float32]: ...


class Heard(Judged):
    """The probabilities that a judge gives to clips, with what they are."""

    @classmethod
    def of(cls, judge: Judge, clips: Mapping[int, Clips]) -> Heard:
        """What a judge makes of clips, by rate."""
        parts = [
            cls(
                tuple(judge.class_names),
                judge.probabilities(part.samples, rate),
                np.asarray(part.labels, np.int64),
                tuple(part.speakers),
            )
            for rate, part in clips.items()
        ]
        return cls.joined(parts)


def made(clips: Mapping[int, Clips]) -> dict[str, ByRate]:
    """Sounds made of words: kind -> clips. Reversed words, and their first and second halves.

    Args:
        clips: of the judge's words, by rate.
    """
    backwards: ByRate = {rate: Clips() for rate in clips}
    halves: ByRate = {rate: Clips() for rate in clips}
    for rate, part in clips.items():
        for samples, speaker in zip(part.samples, part.speakers, strict=True):
            word = np.trim_zeros(samples)
            backwards[rate].add(np.ascontiguousarray(word[::-1]), -1, speaker)
            halves[rate].add(word[: len(word) // 2], -1, speaker)
            halves[rate].add(word[len(word) // 2 :], -1, speaker)
    return {"reversed": backwards, "half-words": halves}


def noise(seed: int = 0) -> ByRate:
    """White and coloured noise of 0.3 to 1 s."""
    rng = np.random.default_rng(seed)
    clips = Clips()
    for number in range(_NOISES):
        samples = rng.normal(0, 0.1, int(_NOISE_HZ * rng.uniform(0.3, 1.0)))
        if number % 2:
            spectrum = np.fft.rfft(samples)
            spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** rng.uniform(0.1, 1.0)
            samples = np.fft.irfft(spectrum, len(samples))
        clips.add((0.5 * samples / np.abs(samples).max()).astype(np.float32), -1, "noise")
    return {_NOISE_HZ: clips}
