"""What is measured of a spoken-word judge: accuracy, what it takes for its words, how right its confidence is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xmbench.judges.words.clips import ByRate, Clips

BINS = 15  # of the calibration error
KEPT = 0.9  # of real words, where the acceptance of other words is stated
_DIGITS = 6
_NOISES = 200
_NOISE_HZ = 16_000


class Judge(Protocol):
    """What is measured: either spoken-word judge."""

    @property
    def class_names(self) -> tuple[str, ...]: ...

    def probabilities(self, clips: Sequence[NDArray[np.float32]], sample_rate_hz: int) -> NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """The probabilities that a judge gives to clips, with what they are.

    Attributes:
        class_names: the K words.
        probabilities: float32 (N, K + 1).
        labels: int64 (N,).
        speakers: of each.
    """

    class_names: tuple[str, ...]
    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    speakers: tuple[str, ...]

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

    @classmethod
    def joined(cls, parts: Sequence[Heard]) -> Heard:
        """Several at once, at least one."""
        return cls(
            parts[0].class_names,
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.labels for part in parts]),
            tuple(speaker for part in parts for speaker in part.speakers),
        )

    @property
    def recognised(self) -> NDArray[np.int64]:
        """The most probable class of each, (N,); K is none of the words."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def accepting(self) -> NDArray[np.float64]:
        """The confidence that it is one of the words, (N,): 1 - P(none of them)."""
        return 1.0 - self.probabilities[:, -1].astype(np.float64)

    @property
    def margins(self) -> NDArray[np.float64]:
        """How far the most probable word is above the rejection, (N,), in log-probability; accepted from 0 on."""
        sure = np.log(np.maximum(self.probabilities.astype(np.float64), 1e-12))
        return np.asarray(sure[:, :-1].max(axis=1) - sure[:, -1])

    def accuracy(self) -> dict[str, Any]:
        """Share of clips that are recognised, over all, by class and by speaker; "none of them" is wrong."""
        right = self.recognised == self.labels
        classes: dict[str, list[bool]] = defaultdict(list)
        speakers: dict[str, list[bool]] = defaultdict(list)
        for label, speaker, value in zip(self.labels, self.speakers, right, strict=True):
            classes[self.class_names[label]].append(bool(value))
            speakers[speaker].append(bool(value))
        return {
            "accuracy": round(float(right.mean()), _DIGITS),
            "n": len(right),
            "by_class": {name: round(float(np.mean(classes[name])), 4) for name in self.class_names if name in classes},
            "by_speaker": {name: round(float(np.mean(values)), 4) for name, values in sorted(speakers.items())},
        }

    def false_accepts(self) -> dict[str, Any]:
        """Share of clips that are taken for one of the words, and for which; the shares of the words sum to it."""
        words = np.bincount(self.recognised, minlength=len(self.class_names) + 1)[:-1] / len(self.recognised)
        taken = {name: round(float(share), 4) for name, share in zip(self.class_names, words, strict=True) if share}
        return {"share": round(float(words.sum()), _DIGITS), "n": len(self.recognised), "by_class": taken}

    def calibration_error(self) -> float:
        """Expected calibration error of `calibration_error`."""
        return calibration_error(self.probabilities.max(axis=1), self.recognised == self.labels)


def calibration_error(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error, 0..1, lower is better (Guo et al., 2017, equation 3): bins of equal width.

    Args:
        confidence: of the judge in its answer, (N,), 0..1.
        right: whether the answer is right, (N,).
        bins: how many.

    >>> round(calibration_error(np.array([0.9, 0.9, 0.6, 0.6]), np.array([True, True, True, False])), 3)
    0.1
    """
    place = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    gaps = [abs(float(right[place == one].mean() - confidence[place == one].mean())) for one in np.unique(place)]
    return float(np.average(gaps, weights=[int((place == one).sum()) for one in np.unique(place)]))


def accepted_when_kept(words: NDArray[np.floating], others: NDArray[np.floating], kept: float = KEPT) -> float:
    """Share of other sounds that are accepted by the strictest threshold that keeps this share of the words.

    Args:
        words: `Heard.accepting` of clips of the judge's words, (N,).
        others: of other sounds, (M,).
        kept: share of the words that must be accepted, 0..1.

    >>> accepted_when_kept(np.array([0.9, 0.8, 0.7, 0.2]), np.array([0.75, 0.5, 0.1, 0.1]), kept=0.75)
    0.25
    """
    threshold = np.sort(words)[len(words) - int(np.ceil(kept * len(words)))]
    return float((others >= threshold).mean())


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
