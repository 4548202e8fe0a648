"""Silence: a lower bound of every waveform metric."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task


class Config(Part):
    """Nothing to set."""


class _Silence:
    def __init__(self, samples: int) -> None:
        self._samples = samples

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """Zeros, float32 (B, T)."""
        return np.zeros((len(conditions.ids), self._samples), dtype=np.float32)


class _SilenceModel:
    """See the module."""

    name = "silence"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: object, run: Run) -> Generator:
        """Needs no training."""
        return _Silence(task.audio.samples)


MODEL = _SilenceModel()
