"""A training item of the true class: the upper bound of systems that transmit the class and nothing else.

It sees labels, and is marked as such. In single-take data its clip is the reference itself.
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


class _OracleClass:
    def __init__(self, examples: Examples, classes: int, seed: int) -> None:
        self._examples, self._seed = examples, seed
        self._of_class = [np.flatnonzero(examples.labels == label) for label in range(classes)]

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[Any]:
        """The clip or image of a training item of the true class, drawn by the hash of each id."""
        assert conditions.labels is not None  # the runner gives labels to models that declare `oracle`
        chosen = []
        for item, label in zip(conditions.ids, conditions.labels, strict=True):
            rows = self._of_class[int(label)]
            chosen.append(int(rows[item_rng(self._seed, item).integers(len(rows))]))
        return self._examples.as_outputs(chosen, direction)


class _OracleClassModel:
    """See the module."""

    name = "oracle-class"
    directions: tuple[Direction, ...] = ("i2a", "a2i")
    oracle = True
    Config = Config

    def fit(self, examples: Examples, task: Task, config: object, run: Run) -> Generator:
        """Keeps the training items by class."""
        classes = len(task.class_names)
        empty = [task.class_names[k] for k in range(classes) if not (examples.labels == k).any()]
        if empty:
            raise DatasetError("classes without a training item", problems=empty)
        return _OracleClass(examples, classes, run.seed)


MODEL = _OracleClassModel()
