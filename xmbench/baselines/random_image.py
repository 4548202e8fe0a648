"""A random training image per item: a real image, independent of the sound."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng


class Config(Part):
    """Nothing to set."""


class _RandomImage:
    def __init__(self, images: NDArray[np.uint8], seed: int) -> None:
        self._images, self._seed = images, seed

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.uint8]:
        """A training image drawn by the hash of each id, uint8 (B, H, W, C)."""
        return self._images[[int(item_rng(self._seed, item).integers(len(self._images))) for item in conditions.ids]]


class _RandomImageModel:
    """See the module."""

    name = "random-image"
    directions: tuple[Direction, ...] = ("a2i",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: object, run: Run) -> Generator:
        """Keeps the training images."""
        return _RandomImage(examples.images, run.seed)


MODEL = _RandomImageModel()
