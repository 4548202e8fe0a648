"""The reference itself: the score of a perfect output. An upper bound, not a system.

It gets references because it declares `sees_references`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.formats.document import Part
from xmbench.interfaces import SIDES, Conditions, Direction, Examples, Generator, Run, Task
from xmbench.media.audio import to_float


class Config(Part):
    """Nothing to set."""


class _Identity:
    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[Any]:
        """The references: float32 (B, T) in -1..1, or uint8 (B, H, W, C)."""
        assert conditions.references is not None  # the runner gives them to a model that declares `sees_references`
        if SIDES[direction].output == "image":
            return conditions.references
        return to_float(np.asarray(conditions.references, dtype=np.int16))


class _IdentityModel:
    """See the module."""

    name = "identity"
    directions: tuple[Direction, ...] = ("i2a", "a2i")
    oracle = True
    sees_references = True
    Config = Config

    def fit(self, examples: Examples, task: Task, config: object, run: Run) -> Generator:
        """Needs no training."""
        return _Identity()


MODEL = _IdentityModel()
