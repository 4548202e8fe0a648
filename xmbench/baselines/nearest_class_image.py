"""Classify the sound, show a stored image of that class: the trivial baseline for systems that generate images.

The classifier is a vote of the nearest training clips; nothing is trained. The image is a training image of the
predicted class, drawn by the hash of the item's id.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng

PARTS = 16  # of a word in time
BANDS = 20
FFT = 512
DYNAMIC_RANGE = 1e-5  # 50 dB below the loudest point of the word


class Config(Part):
    """How many clips vote."""

    neighbours: int = Field(default=5, ge=1)


def shape(clip: NDArray[np.int16]) -> NDArray[np.float64]:
    """Features of a word, whatever its length and loudness: log power in 16 parts of its time and 20 bands, (320,)."""
    samples = np.trim_zeros(clip / 32768.0)
    samples = np.pad(samples, (0, max(0, FFT * PARTS // 4 + FFT - len(samples))))
    starts = np.linspace(0, len(samples) - FFT, 4 * PARTS).astype(np.int64)
    frames = samples[starts[:, None] + np.arange(FFT)] * np.hanning(FFT)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))
    edges = np.maximum(np.geomspace(1, FFT // 2, BANDS + 1).astype(np.int64), np.arange(1, BANDS + 2))
    bands = np.stack([power[:, low:high].sum(axis=1) for low, high in pairwise(edges)], axis=1)
    parts = bands.reshape(PARTS, 4, BANDS).mean(axis=1)
    logs = np.log(parts + max(float(parts.max()), 1e-20) * DYNAMIC_RANGE).ravel()
    return np.asarray(logs - logs.mean())


class _NearestClassImage:
    def __init__(self, examples: Examples, classes: int, neighbours: int, seed: int) -> None:
        self._images, self._neighbours, self._seed, self._classes = examples.images, neighbours, seed, classes
        self._shapes = np.stack([shape(clip) for clip in examples.clips])
        self._class_of_clip = np.zeros(len(examples.clips), dtype=np.int64)
        self._class_of_clip[examples.clip_index] = examples.labels
        self._of_class = [np.flatnonzero(examples.labels == label) for label in range(classes)]

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The class of most of the nearest training clips, (B,); a tie goes to the class with the nearest clip."""
        found = np.empty(len(conditions.ids), dtype=np.int64)
        for i, clip in enumerate(conditions.inputs):
            distance = np.square(self._shapes - shape(clip)).sum(axis=1)
            near = self._class_of_clip[np.argsort(distance, kind="stable")[: self._neighbours]]
            votes = np.bincount(near, minlength=self._classes)
            found[i] = next(int(label) for label in near if votes[label] == votes.max())
        return found

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.uint8]:
        """A training image of the predicted class, uint8 (B, H, W, C)."""
        predicted = self.predict(conditions)
        assert predicted is not None
        rows = []
        for item, label in zip(conditions.ids, predicted, strict=True):
            own = self._of_class[label]
            rows.append(int(own[item_rng(self._seed, item).integers(len(own))]))
        return self._images[rows]


class _NearestClassImageModel:
    """See the module."""

    name = "nearest-class-image"
    directions: tuple[Direction, ...] = ("a2i",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Keeps the shapes of the distinct training clips, and the images by class."""
        return _NearestClassImage(examples, len(task.class_names), config.neighbours, run.seed)


MODEL = _NearestClassImageModel()
