"""Classify the image, return a stored log-mel spectrogram of that class: what a generator of spectrograms has to beat.

The spectrogram is that of a training item of the recognised class, drawn by the hash of the item's id. It becomes sound
as the outputs of the adversarial rows do by Griffin-Lim, so that a comparison with these compares the spectrograms.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from xmbench.baselines._adversarial import Spectrograms, Synthesis
from xmbench.baselines._classify import ClassifierConfig, ClassifierModel, answers, trained_classifier
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng


class Config(ClassifierConfig):
    """The classifier, the spectrogram and the way back."""

    spectrogram: Literal["native", "np-resize"] = "native"
    iterations: int = Field(default=32, ge=1, description="of Griffin-Lim")


class _ClassLogMel:
    def __init__(
        self, classifier: nn.Module, examples: Examples, spectrograms: Spectrograms, synthesis: Synthesis, run: Run
    ) -> None:
        self._classifier, self._examples, self._run = classifier, examples, run
        self._spectrograms, self._synthesis = spectrograms, synthesis

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The classifier's class, (B,)."""
        return self._recognised(conditions)

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """A stored spectrogram of the recognised class as sound, float32 (B, T) in -1..1."""
        return self.sounds_of(self._recognised(conditions), conditions.ids)

    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        """Both, of one pass of the classifier."""
        classes = self._recognised(conditions)
        return self.sounds_of(classes, conditions.ids), classes

    @torch.no_grad()
    def sounds_of(self, classes: NDArray[np.int64], ids: tuple[str, ...]) -> NDArray[np.float32]:
        """Stored spectrograms of classes (B,) as sounds, float32 (B, T): of a classifier that is right about them."""
        clips = []
        for item, label in zip(ids, classes, strict=True):
            own = np.flatnonzero(self._examples.labels == label)
            clips.append(self._examples.clip_index[own[item_rng(self._run.seed, item).integers(len(own))]])
        return self._synthesis(self._spectrograms.of_clips(torch.from_numpy(np.array(clips))), ids)

    def _recognised(self, conditions: Conditions) -> NDArray[np.int64]:
        logits = answers(self._classifier, conditions.inputs, self._run.device)
        # Never a class without a training item: it would have nothing to return
        known = np.bincount(self._examples.labels, minlength=logits.shape[1]) > 0
        return np.asarray(np.where(known, logits, -np.inf).argmax(axis=1), dtype=np.int64)


class _ClassLogMelModel(ClassifierModel):
    """See the module."""

    name = "class-log-mel"
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Trains the classifier, takes the spectrograms of the training clips."""
        assert isinstance(config, Config)
        classifier = trained_classifier(examples, task, config, run)
        spectrograms = Spectrograms(examples, task, config.spectrogram, run.device)
        synthesis = Synthesis(spectrograms, None, config.iterations, run.seed)
        return _ClassLogMel(classifier, examples, spectrograms, synthesis, run)


MODEL = _ClassLogMelModel()
