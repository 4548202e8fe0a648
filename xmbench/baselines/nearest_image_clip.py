"""Play the own clip of the nearest training image: no generation, and with `pixels` no training either.

Near is the Euclidean distance, of the pixels or of the frozen features of a small network. That network is trained on
the labels of the training images (it is the classifier of the rows that classify and then play, without its last
layer), so that `features` knows of classes what labels teach, and `pixels` knows nothing.

The search is exact. Ties go to the first training item.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from xmbench.baselines._classify import ClassifierConfig, ClassifierModel, answers, trained_classifier
from xmbench.baselines._nearest import elected, nearest
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task


class Config(ClassifierConfig):
    """What is compared, and how many images vote; the classifier's settings matter to `features` alone."""

    compare: Literal["pixels", "features"] = "pixels"
    neighbours: int = Field(default=1, ge=1, description="images that vote on the class; the nearest of it is played")


class _NearestImageClip:
    def __init__(self, examples: Examples, features: nn.Module | None, neighbours: int, device: str) -> None:
        self._examples, self._features, self._neighbours, self._device = examples, features, neighbours, device
        self._points = self._of(examples.images)

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The class of the training image whose clip is played, (B,)."""
        return self._examples.labels[self._chosen(conditions)]

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """The clip of the nearest training image of the class that wins the vote, float32 (B, T)."""
        return self.generate_and_predict(conditions, direction)[0]

    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        """Both, of one search."""
        rows = self._chosen(conditions)
        outputs: NDArray[np.float32] = self._examples.as_outputs(rows, direction)
        return outputs, self._examples.labels[rows]

    def _chosen(self, conditions: Conditions) -> NDArray[np.int64]:
        found = nearest(self._of(conditions.inputs), self._points, self._neighbours)
        return elected(found, self._examples.labels)

    def _of(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """What is compared: (N, D), uint8 pixels as they are stored or float32 features."""
        if self._features is None:
            return images.reshape(len(images), -1)
        return answers(self._features, images, self._device)


class _NearestImageClipModel(ClassifierModel):
    """See the module."""

    name = "nearest-image-clip"
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Keeps the training images, or trains the classifier and keeps their features."""
        features = None
        if config.compare == "features":
            features = trained_classifier(examples, task, config, run)[:-1]  # without the layer of the classes
        return _NearestImageClip(examples, features, config.neighbours, run.device)


MODEL = _NearestImageClipModel()
