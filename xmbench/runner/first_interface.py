"""Models written for the first version of the interface, which trained for one direction at a time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import DocumentError
from xmbench.interfaces import Classifier, Conditions, Direction, Examples, Generator, Model, Run, Task

# The first version: fit(examples, task, direction, config, run) and generate(conditions).
OldFit = Callable[[Examples, Task, Direction, Any, Run], Any]


def fit(model: Model, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
    """Fits a model by the version of the interface that it was written for.

    Raises:
        DocumentError: a model of the first version is asked for two directions, or trains as that version did.
    """
    if "direction" not in inspect.signature(model.fit).parameters:
        return model.fit(examples, task, config, run)
    if len(run.directions) > 1:
        raise DocumentError(
            f"the model '{model.name}' was written for the first version of the interface, one direction at a time",
            expected="fit(examples, task, config, run) and generate(conditions, direction)",
            todo=f"change the model, or name one of {', '.join(run.directions)} as the baseline's `directions`",
        )
    old: OldFit = model.fit  # type: ignore[assignment]
    try:
        generator = old(examples, task, run.directions[0], config, run)
    except TypeError as error:
        if "Phase" not in str(error):
            raise
        raise DocumentError(
            f"the model '{model.name}' trains as in the first version of the interface ({error})",
            expected="Phase(..., updates=(Update(module, optimiser, loss),))",
            todo="change the model: move its optimiser and loss into an Update (baselines/README.md)",
        ) from error
    return _Classifying(generator) if isinstance(generator, Classifier) else _Generating(generator)


class _Generating:
    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[Any]:
        """The outputs of the model in its one direction."""
        made: NDArray[Any] = self._generator.generate(conditions)
        return made


class _Classifying(_Generating):
    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The classes that the model predicts."""
        classes: NDArray[np.int64] | None = self._generator.predict(conditions)
        return classes
