"""What every row of the kind "classify the image, then play something of that class" shares: the classifier.

One small convolutional network, trained on the labels of the training images and selected on held-out ones. Each of
its convolutions reads every pixel of its input, the strided ones too. Rows that use it differ in what they play alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Run, Task
from xmbench.networks.images import coloured, make_classifier, moved, standardise
from xmbench.training import (
    Optimiser,
    Phase,
    Tensors,
    Update,
    mean_losses,
    parts,
    place,
    plan_steps,
    seed_everything,
    train,
)

BLOCK = 64  # clips that are read at once


class ClassifierConfig(Part):
    """The classifier and its training; the defaults reach 0.98 on the embedded digits in seconds."""

    width: int = Field(default=16, ge=1)
    cells: int = Field(default=1, ge=1, description="parts of each side that are averaged apart")
    shift: float = Field(default=0.0, ge=0, lt=1, description="of training images, share of a side")
    scale: float = Field(default=0.0, ge=0, lt=1, description="of training images")
    colours: float = Field(default=0.0, ge=0, lt=1, description="gain and offset of their channels")
    learning_rate: float = Field(default=2e-3, gt=0)
    epochs: int = Field(default=2, ge=1)
    min_steps: int = Field(default=240, ge=1)
    batch: int = Field(default=64, ge=2)


def classifier_of(task: Task, config: ClassifierConfig) -> nn.Sequential:
    """The untrained classifier: standardised images (B, C, H, W) -> logits (B, K)."""
    return make_classifier(task.image.channels, len(task.class_names), config.width, config.cells)


def trained_classifier(examples: Examples, task: Task, config: ClassifierConfig, run: Run) -> nn.Sequential:
    """Trains the classifier, or loads a finished training: standardised images (B, C, H, W) -> logits (B, K)."""
    data = Tensors(examples, run)
    seed_everything(run.seed, "classifier", "weights")
    classifier = place(classifier_of(task, config), run.device)

    def losses(rows: Tensor, images: Tensor) -> dict[str, Tensor]:
        logits = classifier(standardise(images))
        return {"loss": F.cross_entropy(logits, data.labels[rows].to(run.device))}

    def loss(positions: Tensor) -> dict[str, Tensor]:
        rows = data.rows[positions]
        images = moved(data.pixels(rows), 0.0, config.scale, config.shift)
        return losses(rows, coloured(images, config.colours))

    batch, epoch, steps = plan_steps(len(data.rows), config.batch, config.epochs, config.min_steps)

    def validate() -> Mapping[str, float]:
        return {"selection": mean_losses(lambda rows: losses(rows, data.pixels(rows)), data.held_out)["loss"]}

    optimiser = Optimiser("adam", config.learning_rate, warmup_steps=steps // 20)
    train(
        Phase(
            name="classifier",
            module=classifier,
            items=len(data.rows),
            steps=steps,
            batch_size=batch,
            updates=(Update(classifier, optimiser, loss),),
            validate=validate if len(data.held_out) else None,
            validate_every=max(epoch, steps // 10),
            validation_ids=data.validation_ids,
            ahead=lambda positions: data.ahead(data.rows[positions]),
            batch_setting="batch",
        ),
        run,
    )
    return classifier


@torch.no_grad()
def answers(network: nn.Module, images: NDArray[np.uint8], device: str) -> NDArray[np.float32]:
    """What a network gives for images uint8 (N, H, W, C), read a part at a time: float32 (N, D)."""
    network.eval()
    found = []
    for rows in parts(torch.arange(len(images))):
        part = torch.from_numpy(np.ascontiguousarray(images[rows.numpy()])).to(device)
        found.append(network(standardise(part)).float().cpu().numpy())
    return np.concatenate(found)


class ClassifierModel:
    """What the models with this classifier have in common; `name` and `fit` are their own, and a `Config` with more."""

    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config: type[ClassifierConfig] = ClassifierConfig

    def image_network(self, task: Task, config: Any) -> nn.Module:
        """The classifier before its training: standardised images (B, C, H, W) -> logits (B, K)."""
        return classifier_of(task, config)


class ClassPlayer:
    """A generator that recognises the class of an image and plays the one clip that it has of the class."""

    def __init__(self, classifier: nn.Module, clips: NDArray[np.float32], device: str) -> None:
        self._classifier, self._clips, self._device = classifier, clips, device

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The classifier's class, (B,)."""
        return self._recognised(conditions)

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """The clip of the recognised class, float32 (B, T) in -1..1."""
        return self.clips_of(self._recognised(conditions))

    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        """Both, of one pass of the classifier."""
        classes = self._recognised(conditions)
        return self.clips_of(classes), classes

    def clips_of(self, classes: NDArray[np.int64]) -> NDArray[np.float32]:
        """The clips of classes (B,), float32 (B, T): the outputs of a classifier that is right about them."""
        return self._clips[classes]

    def _recognised(self, conditions: Conditions) -> NDArray[np.int64]:
        logits = answers(self._classifier, conditions.inputs, self._device)
        return np.asarray(logits.argmax(axis=1), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Takes:
    """The distinct takes of the classes: take `clips[j]` belongs to `items[j]` training items of class `labels[j]`.

    Sorted by clip, so that a mapped file is read from its beginning to its end. A take of several classes is listed
    once for each.
    """

    labels: NDArray[np.int64]
    clips: NDArray[np.int64]
    items: NDArray[np.int64]

    def blocks(self, examples: Examples) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int16]]]:
        """Positions (B,) in these arrays and their samples int16 (B, T): memory does not grow with their number."""
        for start in range(0, len(self.clips), BLOCK):
            positions = np.arange(start, min(start + BLOCK, len(self.clips)))
            yield positions, np.asarray(examples.clips[self.clips[positions]])


def takes_of(examples: Examples) -> Takes:
    """Every pair of a class and one of its distinct clips, with the number of items that have it."""
    pairs = np.stack([examples.clip_index, examples.labels])
    (clips, labels), items = np.unique(pairs, axis=1, return_counts=True)
    return Takes(labels, clips, items)
