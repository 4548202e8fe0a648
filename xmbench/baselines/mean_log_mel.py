"""The mean log-mel spectrogram of the training items, as one sound for every condition.

It has the least squared error of all spectrograms that do not depend on the condition: what a regressor of log-mel
spectrograms learns that ignores its input. Scale and way back are those of the adversarial rows.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from xmbench.baselines._adversarial import Spectrograms, Synthesis
from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task

AT_ONCE = 256  # clips


class Config(Part):
    """The spectrogram and the way back."""

    width: Literal["native", "np-resize"] = "native"
    iterations: int = Field(default=32, ge=1, description="of Griffin-Lim")


def mean_spectrogram(spectrograms: Spectrograms, clip_index: NDArray[np.int64]) -> Tensor:
    """The mean over items of their scaled spectrograms, (1, 1, 128, 34): a clip counts as often as items have it."""
    clips, items = np.unique(clip_index, return_counts=True)
    total = torch.zeros(())
    for start in range(0, len(clips), AT_ONCE):
        part = torch.from_numpy(clips[start : start + AT_ONCE])
        weights = torch.from_numpy(items[start : start + AT_ONCE]).double()
        found = spectrograms.of_clips(part).double().cpu()
        total = total + (weights[:, None, None, None] * found).sum(dim=0, keepdim=True)
    return (total / len(clip_index)).float()


class _MeanLogMel:
    def __init__(self, sound: NDArray[np.float32]) -> None:
        self._sound = sound

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """The same sound for each, float32 (B, T)."""
        return np.repeat(self._sound, len(conditions.ids), axis=0)


class _MeanLogMelModel:
    """See the module."""

    name = "mean-log-mel"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = False
    Config = Config

    @torch.no_grad()
    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Averages the spectrograms and makes the mean sound."""
        assert isinstance(config, Config)
        spectrograms = Spectrograms(examples, task, config.width, run.device)
        mean = mean_spectrogram(spectrograms, examples.clip_index).to(run.device)
        return _MeanLogMel(Synthesis(spectrograms, None, config.iterations, run.seed)(mean, ["mean"]))


MODEL = _MeanLogMelModel()
