"""Sounds -> images by multimodal features and two adversarial networks, one after the other.

J. Lyu et al., "Generating images from sounds using multi-modal features and GANs" (2018, under review). A sound becomes
features (SoundNet-8 pool5), a vector of the joint space, features of an image (GAN 1), and an image (GAN 2).

Up to five phases: features of images, features of sounds, multimodal layers, GAN 2 on the features of real images,
GAN 1 to the features of the images that belong to the sounds. The form "modern" has one phase in place of the last two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmbench.baselines._adversarial import pixels_of
from xmbench.baselines._joint_space import JointSpace
from xmbench.baselines._stacked_gan import GanConfig, train_feature_gan, train_image_gan
from xmbench.baselines._stacked_gan_modern import train_modern_gan
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task
from xmbench.training import Tensors, autocast


class Config(GanConfig):
    """Every constant. The defaults are the paper's networks; `[config]` of the TOML repeats them."""

    form: Literal["paper", "modern"] = "paper"


class _Painter:
    """Hear, find the place in the joint space, paint."""

    def __init__(
        self, space: JointSpace, paint: Callable[[Tensor], Tensor], task: Task, config: Config, run: Run
    ) -> None:
        self._space, self._paint, self._task, self._config, self._run = space, paint, task, config, run

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.uint8]:
        """Sounds int16 (B, T) -> images uint8 (B, H, W, C)."""
        return self._painted(self._heard(conditions))

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The class that the output layer of the joint space hears, (B,)."""
        return self._space.classes(self._heard(conditions))

    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
        """Both, of one pass."""
        heard = self._heard(conditions)
        return self._painted(heard), self._space.classes(heard)

    def _heard(self, conditions: Conditions) -> Tensor:
        return self._space.of_sounds(self._space.features.of_clips(conditions.inputs))

    @torch.no_grad()
    def _painted(self, heard: Tensor) -> NDArray[np.uint8]:
        with autocast(self._run.device, self._config.precision):
            images = self._paint(heard)
        return pixels_of(images, self._task)


class _StackedGan:
    """See the module."""

    name = "stacked-gan"
    directions: tuple[Direction, ...] = ("a2i",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains every phase, or loads its checkpoint."""
        assert isinstance(config, Config)
        data = Tensors(examples, run)
        space = JointSpace(examples, data, task, config, run)
        hidden = space.of_sounds(space.sounds).cpu()
        if config.form == "modern":
            modern = train_modern_gan(hidden, space.images, data, config, run)
            return _Painter(space, modern.painter.eval(), task, config, run)
        second = train_image_gan(space.images, data, config, run).eval()
        first = train_feature_gan(hidden, space.images, data, config, run).eval()
        return _Painter(space, lambda heard: second(first.features(heard)), task, config, run)


MODEL = _StackedGan()
