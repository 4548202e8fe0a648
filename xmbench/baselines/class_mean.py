"""Classify the image, play the mean waveform of that class: what a regressor learns that knows nothing but the class.

The mean over a class's training items minimises the squared error of the waveform among all systems that transmit the
class alone. Where takes vary it is a murmur: their waves cancel. With one take per class it is that take.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.baselines._classify import ClassifierModel, ClassPlayer, takes_of, trained_classifier
from xmbench.interfaces import Examples, Generator, Run, Task
from xmbench.media.audio import FULL_SCALE


def class_means(examples: Examples, task: Task) -> NDArray[np.float32]:
    """Mean waveform of each class over its training items, float32 (K, T): a take counts as often as items have it.

    Zeros for a class without a training item; the classifier never predicts it.
    """
    takes = takes_of(examples)
    total = np.zeros((len(task.class_names), task.audio.samples), dtype=np.float64)
    for positions, clips in takes.blocks(examples):
        np.add.at(total, takes.labels[positions], takes.items[positions, None] * (clips / FULL_SCALE))
    counts = np.bincount(examples.labels, minlength=len(total))
    return (total / np.maximum(counts, 1)[:, None]).astype(np.float32)


class _ClassMeanModel(ClassifierModel):
    """See the module."""

    name = "class-mean"

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains the classifier, averages the clips of each class."""
        classifier = trained_classifier(examples, task, config, run)
        return ClassPlayer(classifier, class_means(examples, task), run.device)


MODEL = _ClassMeanModel()
