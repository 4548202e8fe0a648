"""White noise at the level of the training clips. PESQ ranks it above the right word by another speaker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng
from xmbench.media.audio import FULL_SCALE


class Config(Part):
    """Nothing to set."""


class _WhiteNoise:
    def __init__(self, level: float, samples: int, seed: int) -> None:
        self._level, self._samples, self._seed = level, samples, seed

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """Gaussian noise by the hash of each id, float32 (B, T); the rare values beyond full scale are clipped."""
        drawn = [item_rng(self._seed, item).standard_normal(self._samples) for item in conditions.ids]
        return np.clip(self._level * np.stack(drawn), -1.0, 1.0).astype(np.float32)


class _WhiteNoiseModel:
    """See the module."""

    name = "white-noise"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: object, run: Run) -> Generator:
        """Measures the root mean square of the training items, padding included."""
        power = np.array([np.mean(np.square(clip / FULL_SCALE)) for clip in examples.clips])
        level = float(np.sqrt(power[examples.clip_index].mean()))
        return _WhiteNoise(level, task.audio.samples, run.seed)


MODEL = _WhiteNoiseModel()
