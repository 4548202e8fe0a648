"""A training item of another class: the score of a real item with the wrong content.

It sees labels, to be wrong every time, and is marked as such.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import DatasetError
from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng


class Config(Part):
    """Nothing to set."""


class _WrongClass:
    def __init__(self, examples: Examples, seed: int) -> None:
        self._examples, self._seed = examples, seed
        self._others = {int(k): np.flatnonzero(examples.labels != k) for k in np.unique(examples.labels)}
        self._every = np.arange(len(examples.labels))

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[Any]:
        """The clip or image of a training item of any class but the true one, drawn by the hash of each id."""
        assert conditions.labels is not None  # the runner gives labels to models that declare `oracle`
        chosen = []
        for item, label in zip(conditions.ids, conditions.labels, strict=True):
            rows = self._others.get(int(label), self._every)
            chosen.append(int(rows[item_rng(self._seed, item).integers(len(rows))]))
        return self._examples.as_outputs(chosen, direction)


class _WrongClassModel:
    """See the module."""

    name = "wrong-class"
    directions: tuple[Direction, ...] = ("i2a", "a2i")
    oracle = True
    Config = Config

    def fit(self, examples: Examples, task: Task, config: object, run: Run) -> Generator:
        """Keeps the training items."""
        if len(np.unique(examples.labels)) < 2:
            raise DatasetError("training items of a single class have no wrong class", expected="two or more classes")
        return _WrongClass(examples, run.seed)


MODEL = _WrongClassModel()
