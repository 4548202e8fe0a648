"""Classify the image, play a stored clip of that class: the trivial baseline that a learned system has to beat.

The classifier is a small convolutional network, trained in seconds on a CPU. The clip is the medoid of its
class: the training clip that is on average most similar to the others of its class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xmbench.baselines._classify import ClassifierConfig, ClassifierModel, ClassPlayer, trained_classifier
from xmbench.interfaces import Examples, Generator, Run, Task, item_rng
from xmbench.media.audio import to_float

FRAME = 512  # samples of a spectrogram frame: 23 ms at 22,050 Hz


class Config(ClassifierConfig):
    """The classifier, and how many clips are compared."""

    medoid_clips: int = Field(default=64, ge=1, description="clips per class among which the medoid is sought")


def spectrum(clip: NDArray[np.int16]) -> NDArray[np.float64]:
    """Cube-root magnitude spectrogram of a clip (T,), flat and of unit length: the cube root approximates loudness."""
    samples = np.pad(clip / 32768.0, (0, -len(clip) % FRAME))
    frames = samples.reshape(-1, FRAME) * np.hanning(FRAME)
    flat = np.cbrt(np.abs(np.fft.rfft(frames, axis=1))).ravel()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-12))


def class_medoids(examples: Examples, classes: int, most: int, seed: int) -> NDArray[np.int64]:
    """Index of each class's medoid clip, shape (K,): highest mean cosine to the class's other clips.

    If a class has more than `most` distinct clips, a seeded sample of them is compared. A class without a training
    item gets the first clip; the classifier never predicts it.
    """
    chosen = np.zeros(classes, dtype=np.int64)
    for label in range(classes):
        clips = np.unique(examples.clip_index[examples.labels == label])
        if len(clips) > most:
            clips = np.sort(item_rng(seed, f"medoid-{label}").choice(clips, most, replace=False))
        if len(clips):
            spectra = np.stack([spectrum(examples.clips[clip]) for clip in clips])
            chosen[label] = clips[np.argmax((spectra @ spectra.T).sum(axis=1))]
    return chosen


class _NearestClassClipModel(ClassifierModel):
    """See the module."""

    name = "nearest-class-clip"
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains the classifier, finds the medoids."""
        classifier = trained_classifier(examples, task, config, run)
        medoids = class_medoids(examples, len(task.class_names), config.medoid_clips, run.seed)
        return ClassPlayer(classifier, to_float(examples.clips[medoids]), run.device)


MODEL = _NearestClassClipModel()
