"""Classify the sound by a trained network, show a stored image of that class.

The reference that a system has to beat which generates images from sounds: all that it transmits is the class. The
classifier is that of `flow-image` with the condition "class"; the image is a training image of the class that it hears,
drawn by the hash of the item's id.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.baselines._sound_classifier import Hearing, SoundClassifierConfig
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng


class Config(SoundClassifierConfig):
    """The classifier."""


class _HeardClassImage:
    def __init__(self, examples: Examples, hearing: Hearing, seed: int) -> None:
        self._examples, self._hearing, self._seed = examples, hearing, seed
        known = np.unique(examples.labels).tolist()
        self._of_class = {label: np.flatnonzero(examples.labels == label) for label in known}

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The classifier's class, (B,)."""
        return self._hearing.classes(conditions.inputs)

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.uint8]:
        """A training image of the class that is heard, uint8 (B, H, W, C)."""
        return self.generate_and_predict(conditions, direction)[0]

    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
        """Both, of one pass of the classifier."""
        classes = self._hearing.classes(conditions.inputs)
        every = np.arange(len(self._examples.labels))  # of a class without training items, which is hardly ever heard
        rows = [
            int(own[item_rng(self._seed, item).integers(len(own))])
            for item, own in zip(
                conditions.ids, (self._of_class.get(label, every) for label in classes.tolist()), strict=True
            )
        ]
        outputs: NDArray[np.uint8] = self._examples.as_outputs(rows, direction)
        return outputs, classes


class _HeardClassImageModel:
    """See the module."""

    name = "heard-class-image"
    directions: tuple[Direction, ...] = ("a2i",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains the classifier; keeps the training images by class."""
        return _HeardClassImage(examples, Hearing(examples, task, config, run), run.seed)


MODEL = _HeardClassImageModel()
