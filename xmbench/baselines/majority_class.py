"""A training item of the most frequent class per item: what one can score without looking at the condition."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng


class Config(Part):
    """Nothing to set."""


class _MajorityClass:
    def __init__(self, examples: Examples, seed: int) -> None:
        self._examples, self._seed = examples, seed
        labels, counts = np.unique(examples.labels, return_counts=True)
        self._rows = np.flatnonzero(examples.labels == labels[np.argmax(counts)])  # the first of equally frequent ones

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[Any]:
        """The clip or image of a training item of the most frequent class, drawn by the hash of each id."""
        chosen = [int(self._rows[item_rng(self._seed, item).integers(len(self._rows))]) for item in conditions.ids]
        return self._examples.as_outputs(chosen, direction)


class _MajorityClassModel:
    """See the module."""

    name = "majority-class"
    directions: tuple[Direction, ...] = ("i2a", "a2i")
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: object, run: Run) -> Generator:
        """Keeps the training items of one class."""
        return _MajorityClass(examples, run.seed)


MODEL = _MajorityClassModel()
