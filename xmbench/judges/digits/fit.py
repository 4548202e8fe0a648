"""Fits a digit-image judge on the training images of data sets, and tests it on their real test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import DatasetError
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_image
from xmbench.interfaces import FittedJudge
from xmbench.judges.digits import training
from xmbench.judges.digits.network import SIZE, DigitImageJudge, seen

NAME = "digit-image"


def fit_image_judge(
    datasets: Sequence[Dataset], *, seed: int = 0, steps: int | None = None, progress: Callable[[str], None] = print
) -> FittedJudge:
    """Trains a judge and tests it.

    A set's share of the draws grows with the square root of its size, so that small sets that look different count.

    Args:
        datasets: their training images are used, their test images are the test; the first defines the classes.
        seed: of the training.
        steps: of the training; None for the default.
        progress: called with a line of progress.

    Raises:
        DatasetError: the data sets differ in classes, or one has no training images.
    """
    classes = _common(datasets)
    images, labels, weights = [], [], []
    for dataset in datasets:
        own, known = _images(dataset, "train")
        images.append(own)
        labels.extend(known)
        weights.extend([len(own) ** -0.5] * len(own))
    judge = training.fit(
        np.concatenate(images),
        labels,
        classes,
        weights=weights,
        seed=seed,
        steps=steps or training.STEPS,
        progress=progress,
    )
    return FittedJudge(
        judge.data,
        NAME,
        {f"real test images of {d.recipe.name}": _accuracy(judge, d) for d in datasets if d.count("test")},
        sees=f"grey images at {SIZE} x {SIZE} pixels",
        details={"training_images": {d.recipe.name: len(own) for d, own in zip(datasets, images, strict=True)}},
        packages=("torch", "pillow"),
    )


def _common(datasets: Sequence[Dataset]) -> list[str]:
    classes = list(datasets[0].recipe.classes.names)
    for dataset in datasets:
        if list(dataset.recipe.classes.names) != classes:
            raise DatasetError("the data sets have other classes", where=dataset.folder, expected=", ".join(classes))
        if not dataset.count("train"):
            raise DatasetError("the split 'train' has no items", where=dataset.folder)
    return classes


def _images(dataset: Dataset, split: str) -> tuple[NDArray[np.float32], list[int]]:
    """Every image of a split as the judge sees it, float32 (N, 28, 28), and its class."""
    found, labels = [], []
    for row in dataset.rows(split, ["image", "label"]):
        found.append(seen(read_image(row, dataset)))
        labels.append(int(row["label"]))
    return np.stack(found), labels


def _accuracy(judge: DigitImageJudge, dataset: Dataset) -> dict[str, Any]:
    """Accuracy over the test images, and by class; "none" is wrong."""
    labels, images = [], []
    for row in dataset.rows("test", ["image", "label"]):
        images.append(read_image(row, dataset))
        labels.append(int(row["label"]))
    right = judge.probabilities(images).argmax(axis=1) == np.asarray(labels)
    names = dataset.recipe.classes.names
    by_class = {name: right[np.asarray(labels) == k] for k, name in enumerate(names)}
    return {
        "accuracy": round(float(right.mean()), 6),
        "n": len(labels),
        "by_class": {name: round(float(own.mean()), 4) for name, own in by_class.items() if len(own)},
    }
