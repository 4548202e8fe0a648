"""The mean of the training images: what a model that ignores its input learns from a squared error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task

BLOCK = 1024  # images that are read at once


class Config(Part):
    """Nothing to set."""


class _MeanImage:
    def __init__(self, mean: NDArray[np.uint8]) -> None:
        self._mean = mean

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.uint8]:
        """The same image for every item, uint8 (B, H, W, C)."""
        return np.tile(self._mean, (len(conditions.ids), 1, 1, 1))


class _MeanImageModel:
    """See the module."""

    name = "mean-image"
    directions: tuple[Direction, ...] = ("a2i",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: object, run: Run) -> Generator:
        """Averages the training images."""
        total = np.zeros(examples.images.shape[1:], dtype=np.int64)
        for start in range(0, len(examples.images), BLOCK):
            total += examples.images[start : start + BLOCK].sum(axis=0, dtype=np.int64)
        return _MeanImage(np.rint(total / len(examples.images)).astype(np.uint8))


MODEL = _MeanImageModel()
