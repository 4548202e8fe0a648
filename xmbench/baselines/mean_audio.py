"""The mean of the training waveforms: what a model that ignores its input learns from a squared error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task
from xmbench.media.audio import FULL_SCALE


class Config(Part):
    """Nothing to set."""


class _MeanAudio:
    def __init__(self, mean: NDArray[np.float32]) -> None:
        self._mean = mean

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """The same waveform for every item, float32 (B, T)."""
        return np.tile(self._mean, (len(conditions.ids), 1))


class _MeanAudioModel:
    """See the module."""

    name = "mean-audio"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: object, run: Run) -> Generator:
        """Averages the training items: a clip counts as often as items have it."""
        total = np.zeros(task.audio.samples, dtype=np.float64)
        counts = np.bincount(examples.clip_index, minlength=len(examples.clips))
        for clip, count in zip(examples.clips, counts, strict=True):
            total += count * (clip / FULL_SCALE)
        return _MeanAudio((total / counts.sum()).astype(np.float32))


MODEL = _MeanAudioModel()
