"""Play the own clip of the nearest training image: no generation, and with `pixels` no training either.

Near is the Euclidean distance, of the pixels or of the frozen features of a small network. That network is trained on
the labels of the training images (it is the classifier of the rows that classify and then play, without its last
layer), so that `features` knows of classes what labels teach, and `pixels` knows nothing.

The search is exact: a matrix product, block by block, selects a few more candidates than are asked for, and their
distances are computed again in double precision. Ties go to the first training item.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from xmbench.baselines._classify import ClassifierConfig, ClassifierModel, answers, trained_classifier
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task

BLOCK = 4096  # training images that are compared at once: 50 MB of 32 x 32 colour pixels
SPARE = 16  # candidates beyond those asked for: more than rounding can put in a wrong order


class Config(ClassifierConfig):
    """What is compared, and how many images vote; the classifier's settings matter to `features` alone."""

    compare: Literal["pixels", "features"] = "pixels"
    neighbours: int = Field(default=1, ge=1, description="images that vote on the class; the nearest of it is played")


def nearest(queries: NDArray[np.generic], points: NDArray[np.generic], count: int) -> NDArray[np.int64]:
    """Positions of the nearest points of each query, nearest first: (Q, D) and (N, D) -> int64 (Q, min(count, N)).

    `points` may be mapped from a file and larger than memory.
    """
    wanted = min(count, len(points))
    asked = torch.from_numpy(np.asarray(queries, dtype=np.float32))
    best = torch.empty((len(asked), 0))
    where = torch.empty((len(asked), 0), dtype=torch.int64)
    for start in range(0, len(points), BLOCK):
        block = torch.from_numpy(np.asarray(points[start : start + BLOCK], dtype=np.float32))
        # |q - p|^2 without |q|^2, which is the same for all points of a query
        distances = block.square().sum(dim=1) - 2.0 * asked @ block.T  # (Q, block)
        numbers = torch.arange(start, start + len(block)).expand(len(asked), -1)
        best, where = torch.cat([best, distances], dim=1), torch.cat([where, numbers], dim=1)
        best, order = best.topk(min(wanted + SPARE, best.shape[1]), dim=1, largest=False)
        where = where.gather(1, order)
    return np.stack(
        [_sorted(query, points, np.sort(row))[:wanted] for query, row in zip(queries, where.numpy(), strict=True)]
    )


def _sorted(query: NDArray[np.generic], points: NDArray[np.generic], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Candidates by their distance in double precision, then by position."""
    apart = np.asarray(points[rows], dtype=np.float64) - np.asarray(query, dtype=np.float64)
    return rows[np.argsort(np.square(apart).sum(axis=1), kind="stable")]


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
        return np.array([self._elected(rows) for rows in found], dtype=np.int64)

    def _elected(self, rows: NDArray[np.int64]) -> int:
        """The nearest of the rows of the most frequent class; a tie goes to the class with the nearest row."""
        labels = self._examples.labels[rows]
        votes = np.bincount(labels)
        return int(rows[np.argmax(votes[labels] == votes.max())])

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
