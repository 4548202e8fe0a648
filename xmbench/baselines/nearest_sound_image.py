"""Show the own image of the nearest training sound: no generation, and with `log-mel` no training either.

Near is the Euclidean distance, of log-mel spectrograms (128 bands, 34 frames, decibels below the loudest training
value) or of the embeddings of a sound classifier that is trained on the labels. Training and test items share no group
(take, video, speaker), so a sound never finds a window of its own recording. Where several training items have one
clip, the image is that of one of them, drawn by the hash of the item's id.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from xmbench.baselines._adversarial import Spectrograms
from xmbench.baselines._nearest import elected, nearest
from xmbench.baselines._sound_classifier import Hearing, SoundClassifierConfig
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng
from xmbench.media.audio import to_float
from xmbench.training import parts


class Config(SoundClassifierConfig):
    """What is compared, and how many sounds vote; the classifier's settings matter to `features` alone."""

    compare: Literal["log-mel", "features"] = "log-mel"
    neighbours: int = Field(default=1, ge=1, description="sounds that vote on the class; the nearest of it counts")


class _Spectra:
    """Clips as flat log-mel spectrograms."""

    def __init__(self, examples: Examples, task: Task, device: str) -> None:
        self._spectrograms, self._device = Spectrograms(examples, task, "native", device), device

    def embeddings(self, clips: NDArray[np.int16]) -> NDArray[np.float32]:
        """Clips int16 (N, T) -> float32 (N, 4352) in -1..1."""
        found = []
        for rows in parts(torch.arange(len(clips))):
            waves = torch.from_numpy(to_float(np.ascontiguousarray(clips[rows.numpy()]))).to(self._device)
            found.append(self._spectrograms.of_waveforms(waves).flatten(1).cpu().numpy())
        return np.concatenate(found)


class _NearestSoundImage:
    def __init__(self, examples: Examples, sounds: Hearing | _Spectra, neighbours: int, seed: int) -> None:
        self._examples, self._sounds, self._neighbours, self._seed = examples, sounds, neighbours, seed
        clips, first, counts = np.unique(examples.clip_index, return_index=True, return_counts=True)
        self._labels = examples.labels[first]  # of the distinct clips
        self._items = np.split(np.argsort(examples.clip_index, kind="stable"), np.cumsum(counts)[:-1])
        self._points = sounds.embeddings(examples.clips)[clips]

    def predict(self, conditions: Conditions) -> NDArray[np.int64] | None:
        """The class of the training item whose image is shown, (B,)."""
        return self._examples.labels[self._chosen(conditions)]

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.uint8]:
        """The image of the nearest training sound of the class that wins the vote, uint8 (B, H, W, C)."""
        return self.generate_and_predict(conditions, direction)[0]

    def generate_and_predict(
        self, conditions: Conditions, direction: Direction
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
        """Both, of one search."""
        rows = self._chosen(conditions)
        outputs: NDArray[np.uint8] = self._examples.as_outputs(rows, direction)
        return outputs, self._examples.labels[rows]

    def _chosen(self, conditions: Conditions) -> NDArray[np.int64]:
        """Training items, (B,); of several that have the nearest clip, one drawn by the hash of the id."""
        found = nearest(self._sounds.embeddings(conditions.inputs), self._points, self._neighbours)
        clips = elected(found, self._labels).tolist()
        drawn = [item_rng(self._seed, item).random() for item in conditions.ids]
        rows = [
            self._items[clip][int(share * len(self._items[clip]))] for clip, share in zip(clips, drawn, strict=True)
        ]
        return np.array(rows, dtype=np.int64)


class _NearestSoundImageModel:
    """See the module."""

    name = "nearest-sound-image"
    directions: tuple[Direction, ...] = ("a2i",)
    oracle = False
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Keeps the spectrograms of the training sounds, or trains the classifier and keeps their embeddings."""
        features = config.compare == "features"
        sounds = Hearing(examples, task, config, run) if features else _Spectra(examples, task, run.device)
        return _NearestSoundImage(examples, sounds, config.neighbours, run.seed)


MODEL = _NearestSoundImageModel()
