"""Classify the image, play the mean spectrum of that class: what a regressor of compressed spectra learns at best.

The mean of |STFT|^0.3 over the training items of a class minimises the squared error of these spectra among all
systems that transmit the class alone. Waves of different takes cancel in a mean, spectra do not: the word remains, in
nobody's voice. The mean becomes sound by Griffin-Lim, once for each class, from phases drawn for the class: every item
of a class sounds the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator

from xmbench.baselines._classify import ClassifierConfig, ClassifierModel, ClassPlayer, takes_of, trained_classifier
from xmbench.interfaces import Examples, Generator, Run, Task
from xmbench.media.audio import to_float
from xmbench.networks.spectra import frames_of, griffin_lim, initial_phases, magnitudes_of, require_overlap

AT_ONCE = 10  # classes that Griffin-Lim works on: 60 MB of spectra at 1.3 s


class Config(ClassifierConfig):
    """The classifier, the spectra and Griffin-Lim.

    Attributes:
        window: length of the Hann window in samples (1,024 last 46 ms at 22,050 Hz).
        hop: samples from one window to the next, at most half a window.
        power: exponent of the magnitudes before the mean: 0.3 approximates loudness, 1 is the mean of magnitudes.
        iterations: of Griffin-Lim.
        momentum: of Griffin-Lim; 0 for the algorithm of 1984.
    """

    window: int = Field(1024, ge=16, le=8192)
    hop: int = Field(256, ge=1)
    power: float = Field(0.3, gt=0.0, le=2.0)
    iterations: int = Field(64, ge=1)
    momentum: float = Field(0.99, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _overlap(self) -> Config:
        require_overlap(self.window, self.hop)
        return self


def class_spectra(examples: Examples, task: Task, config: Config) -> NDArray[np.float32]:
    """Magnitudes of each class, float32 (K, F, N): the mean of |STFT|^power over its items, and back to magnitudes.

    A take counts as often as items have it. Zeros for a class without a training item.
    """
    takes = takes_of(examples)
    shape = (config.window // 2 + 1, frames_of(task.audio.samples, config.hop))
    total = np.zeros((len(task.class_names), *shape), dtype=np.float64)
    for positions, clips in takes.blocks(examples):
        magnitudes = magnitudes_of(torch.from_numpy(to_float(clips)), config.window, config.hop)
        compressed = (magnitudes**config.power).double().numpy()  # (B, F, N)
        np.add.at(total, takes.labels[positions], takes.items[positions, None, None] * compressed)
    counts = np.bincount(examples.labels, minlength=len(total))
    means = total / np.maximum(counts, 1)[:, None, None]
    return np.asarray(means ** (1.0 / config.power), dtype=np.float32)


def synthesised(magnitudes: NDArray[np.float32], task: Task, config: Config, seed: int) -> NDArray[np.float32]:
    """Clips with these magnitudes (K, F, N), float32 (K, T) in -1..1, by Griffin-Lim from phases drawn for a class."""
    found = []
    for start in range(0, len(magnitudes), AT_ONCE):
        part = torch.from_numpy(magnitudes[start : start + AT_ONCE])
        names = [f"class-{k}" for k in range(start, start + len(part))]
        phases = initial_phases(seed, names, *part.shape[1:])
        samples, iterations = task.audio.samples, config.iterations
        waves = griffin_lim(part, phases, config.window, config.hop, samples, iterations, config.momentum)
        found.append(waves.clamp(-1.0, 1.0).numpy())
    return np.concatenate(found)


class _ClassMeanSpectrumModel(ClassifierModel):
    """See the module."""

    name = "class-mean-spectrum"
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains the classifier, averages the spectra of each class and makes them sound."""
        classifier = trained_classifier(examples, task, config, run)
        clips = synthesised(class_spectra(examples, task, config), task, config, run.seed)
        return ClassPlayer(classifier, clips, run.device)


MODEL = _ClassMeanSpectrumModel()
