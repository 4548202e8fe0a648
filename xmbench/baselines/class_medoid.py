"""Classify the image, play the most typical training take of that class: its medoid over every distinct take.

Two takes are alike by the correlation of their |STFT|^0.3, frame by frame from the start: the exponent approximates
loudness, and Corr2D has it too. The medoid has the highest mean similarity to all takes of its class. That mean is the
product with the mean of the normalised spectra, so that two readings of the takes find it exactly, however many there
are: no sample, no table of pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xmbench.baselines._classify import ClassifierModel, ClassPlayer, takes_of, trained_classifier
from xmbench.interfaces import Examples, Generator, Run, Task
from xmbench.media.audio import to_float
from xmbench.networks.spectra import magnitudes_of

WINDOW, HOP, POWER = 1024, 256, 0.3  # samples: 46 and 12 ms at 22,050 Hz


def normalised_spectra(clips: NDArray[np.int16]) -> NDArray[np.float64]:
    """|STFT|^0.3 of clips (B, T), of zero mean and unit length: products are correlations, (B, D).

    A silent clip becomes zeros.
    """
    spectra = magnitudes_of(torch.from_numpy(to_float(clips)), WINDOW, HOP) ** POWER  # (B, F, N)
    flat = spectra.flatten(1).double().numpy()
    flat -= flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9))


def class_medoids(examples: Examples, classes: int) -> NDArray[np.int64]:
    """Index of each class's medoid clip, (K,): highest mean correlation to the takes of its class, each counted once.

    A tie goes to the first clip. A class without a training item gets the first clip of all; the classifier never
    predicts it.
    """
    takes = takes_of(examples)
    total: NDArray[np.float64] | None = None
    for positions, clips in takes.blocks(examples):
        spectra = normalised_spectra(clips)
        total = np.zeros((classes, spectra.shape[1])) if total is None else total
        np.add.at(total, takes.labels[positions], spectra)
    assert total is not None  # a data set without items cannot be opened
    best = np.full(classes, -np.inf)
    chosen = np.zeros(classes, dtype=np.int64)
    for positions, clips in takes.blocks(examples):
        labels = takes.labels[positions]
        found = (normalised_spectra(clips) * total[labels]).sum(axis=1)
        for label, clip, value in zip(labels, takes.clips[positions], found, strict=True):
            if value > best[label]:
                best[label], chosen[label] = value, clip
    return chosen


class _ClassMedoidModel(ClassifierModel):
    """See the module."""

    name = "class-medoid"

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains the classifier, finds the medoids."""
        classifier = trained_classifier(examples, task, config, run)
        medoids = class_medoids(examples, len(task.class_names))
        return ClassPlayer(classifier, to_float(np.asarray(examples.clips[medoids])), run.device)


MODEL = _ClassMedoidModel()
