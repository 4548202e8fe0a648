"""GAN 2 of `stacked-gan` on the features of the real image: an upper bound of what GAN 1 can lead to, not a system.

It gets references because it declares `sees_references`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xmbench.baselines._adversarial import pixels_of
from xmbench.baselines._features import Features, image_features
from xmbench.baselines._stacked_gan import Gan, GanConfig, train_image_gan
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task
from xmbench.training import Tensors, autocast


class Config(GanConfig):
    """The settings of `stacked-gan`; those of sounds, of the joint space and of GAN 1 change nothing."""


class _SeenImage:
    def __init__(self, features: Features, gan: Gan, task: Task, config: Config, run: Run) -> None:
        self._features, self._gan, self._task, self._config, self._run = features, gan.eval(), task, config, run

    @torch.no_grad()
    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.uint8]:
        """The references, uint8 (B, H, W, C), as GAN 2 paints them from their features."""
        assert conditions.references is not None  # the runner gives them to a model that declares `sees_references`
        images = torch.from_numpy(np.ascontiguousarray(conditions.references)).to(self._run.device)
        features = self._features.of_images(images)
        with autocast(self._run.device, self._config.precision):
            return pixels_of(self._gan(features), self._task)


class _SeenImageModel:
    """See the module."""

    name = "seen-image-gan"
    directions: tuple[Direction, ...] = ("a2i",)
    oracle = True
    sees_references = True
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains the features of images and GAN 2, or loads their checkpoints."""
        assert isinstance(config, Config)
        data = Tensors(examples, run)
        features = Features(image_features(data, task, config, run), None, task, config, run)
        gan = train_image_gan(features.of_training_images(data), data, config, run)
        return _SeenImage(features, gan, task, config, run)


MODEL = _SeenImageModel()
