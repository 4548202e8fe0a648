"""Show the training image that is nearest to a sound in the joint space of `stacked-gan`: what the space alone knows.

The same features and multimodal layers (J. Lyu et al., section 5.3 and fig. 5), and no adversarial network. Near is the
Euclidean distance of hidden values, after the activation or before it.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from xmbench.baselines._joint_space import JointConfig, JointSpace
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task
from xmbench.networks.joint_space import nearest
from xmbench.training import Tensors


class Config(JointConfig):
    """The joint space, and which of its values are compared."""

    compare: Literal["after", "before"] = "after"


class _NearestMultimodal:
    def __init__(self, space: JointSpace, examples: Examples, compare: Literal["after", "before"]) -> None:
        self._space, self._examples, self._after = space, examples, compare == "after"
        self._points = self._compared(space.of_images(space.images))

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The class that the output layer hears, (B,)."""
        return self._space.classes(self._heard(conditions))

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.uint8]:
        """The image of the nearest training item, uint8 (B, H, W, C)."""
        return self._shown(self._heard(conditions), direction)

    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
        """Both, of one pass."""
        heard = self._heard(conditions)
        return self._shown(heard, direction), self._space.classes(heard)

    def _heard(self, conditions: Conditions) -> torch.Tensor:
        return self._space.of_sounds(self._space.features.of_clips(conditions.inputs))

    def _shown(self, heard: torch.Tensor, direction: Direction) -> NDArray[np.uint8]:
        rows = nearest(self._compared(heard), self._points).cpu().numpy()
        outputs: NDArray[np.uint8] = self._examples.as_outputs(rows, direction)
        return outputs

    def _compared(self, before: torch.Tensor) -> torch.Tensor:
        return before.relu() if self._after else before


class _NearestMultimodalModel:
    """See the module."""

    name = "nearest-multimodal"
    directions: tuple[Direction, ...] = ("a2i",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains features and joint space, or loads their checkpoints; keeps every training item's place in it."""
        assert isinstance(config, Config)
        space = JointSpace(examples, Tensors(examples, run), task, config, run)
        return _NearestMultimodal(space, examples, config.compare)


MODEL = _NearestMultimodalModel()
