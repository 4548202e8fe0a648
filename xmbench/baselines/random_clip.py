"""A random training clip per item: real speech, independent of the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng
from xmbench.media.audio import to_float


class Config(Part):
    """Nothing to set."""


class _RandomClip:
    def __init__(self, examples: Examples, seed: int) -> None:
        self._clips, self._clip_index, self._seed = examples.clips, examples.clip_index, seed

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """The clip of a training item drawn by the hash of each id, float32 (B, T)."""
        rows = [int(item_rng(self._seed, item).integers(len(self._clip_index))) for item in conditions.ids]
        return to_float(self._clips[self._clip_index[rows]])


class _RandomClipModel:
    """See the module."""

    name = "random-clip"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: object, run: Run) -> Generator:
        """Keeps the training clips; a clip is as likely as the items that have it."""
        return _RandomClip(examples, run.seed)


MODEL = _RandomClipModel()
