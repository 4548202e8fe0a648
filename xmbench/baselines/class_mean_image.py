"""The mean training image of the true class: what a system that recognises the class learns from a squared error.

It sees labels, and is marked as such. A judge may classify such an image correctly: only the spread of the outputs
(diversity, recall, Frechet distance) shows that it is one image per class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import DatasetError
from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task


class Config(Part):
    """Nothing to set."""


class _ClassMeanImage:
    def __init__(self, means: NDArray[np.uint8]) -> None:
        self._means = means

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.uint8]:
        """The mean image of each true class, uint8 (B, H, W, C)."""
        assert conditions.labels is not None  # the runner gives labels to models that declare `oracle`
        return self._means[conditions.labels]


class _ClassMeanImageModel:
    """See the module."""

    name = "class-mean-image"
    directions: tuple[Direction, ...] = ("a2i",)
    oracle = True
    Config = Config

    def fit(self, examples: Examples, task: Task, config: object, run: Run) -> Generator:
        """Averages the training images of each class."""
        classes = range(len(task.class_names))
        empty = [task.class_names[k] for k in classes if not (examples.labels == k).any()]
        if empty:
            raise DatasetError("classes without a training item", problems=empty)
        means = [examples.images[examples.labels == k].mean(axis=0) for k in classes]
        return _ClassMeanImage(np.rint(np.stack(means)).astype(np.uint8))


MODEL = _ClassMeanImageModel()
