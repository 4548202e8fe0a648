"""What is measured of a judge: accuracy, what it takes for its classes, how right its confidence is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

BINS = 15  # of the calibration error
KEPT = 0.9  # of real items, where the acceptance of others is stated
_DIGITS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The probabilities that a judge gives to items, with what they are.

    Attributes:
        class_names: the K classes.
        probabilities: float32 (N, K + 1).
        labels: int64 (N,).
        speakers: of each; or another name of what each comes from: its performance, its recording.
    """

    class_names: tuple[str, ...]
    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    speakers: tuple[str, ...]

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Several at once, at least one."""
        return cls(
            parts[0].class_names,
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.labels for part in parts]),
            tuple(speaker for part in parts for speaker in part.speakers),
        )

    @property
    def recognised(self) -> NDArray[np.int64]:
        """The most probable class of each, (N,); K is none of the classes."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def accepting(self) -> NDArray[np.float64]:
        """The confidence that it is one of the classes, (N,): 1 - P(none of them)."""
        return 1.0 - self.probabilities[:, -1].astype(np.float64)

    @property
    def margins(self) -> NDArray[np.float64]:
        """How far the most probable class is above the rejection, (N,), in log-probability; accepted from 0 on."""
        sure = np.log(np.maximum(self.probabilities.astype(np.float64), 1e-12))
        return np.asarray(sure[:, :-1].max(axis=1) - sure[:, -1])

    def accuracy(self) -> dict[str, Any]:
        """Share of items that are recognised, over all, by class and by speaker; "none of them" is wrong."""
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
        """Share of items that are taken for one of the classes, and for which; the shares of the classes sum to it."""
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
    """Share of other items that are accepted by the strictest threshold that keeps this share of the classes' own.

    Args:
        words: `Judged.accepting` of items of the judge's classes, (N,).
        others: of other items, (M,).
        kept: share of the first that must be accepted, 0..1.

    >>> accepted_when_kept(np.array([0.9, 0.8, 0.7, 0.2]), np.array([0.75, 0.5, 0.1, 0.1]), kept=0.75)
    0.25
    """
    threshold = np.sort(words)[len(words) - int(np.ceil(kept * len(words)))]
    return float((others >= threshold).mean())
