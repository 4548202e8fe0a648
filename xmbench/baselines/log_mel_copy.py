"""The reference as log-mel spectrogram and back: what systems that generate these spectrograms cannot surpass.

The spectrogram, its scale and the way back are those of the adversarial rows (Chen et al., 2017): 128 mel bands, 34
frames, 80 dB, the pseudo-inverse of the bands and Griffin-Lim. With `width = "np-resize"` it goes the way that is
printed: 44 frames of half a second, wrapped by `numpy.resize` to 34 and back to 44. That shears the picture in
between, and the upper bands come back as copies of the lowest: what is lost there is lost before anything is learnt.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from xmbench.baselines._adversarial import Spectrograms, Synthesis
from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task
from xmbench.media.audio import to_float


class Config(Part):
    """The spectrogram and the way back."""

    width: Literal["native", "np-resize"] = "native"
    iterations: int = Field(default=32, ge=1, description="of Griffin-Lim")


class _Copy:
    def __init__(self, spectrograms: Spectrograms, synthesis: Synthesis, device: str) -> None:
        self._spectrograms, self._synthesis, self._device = spectrograms, synthesis, device

    @torch.no_grad()
    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """The references after both ways, float32 (B, T) in -1..1."""
        assert conditions.references is not None  # the runner gives them to a model that declares `sees_references`
        waveforms = torch.from_numpy(to_float(np.asarray(conditions.references, dtype=np.int16))).to(self._device)
        return self._synthesis(self._spectrograms.of_waveforms(waveforms), conditions.ids)


class _LogMelCopyModel:
    """See the module."""

    name = "log-mel-copy"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = True
    sees_references = True
    Config = Config

    def fit(self, examples: Examples, task: Task, config: Any, run: Run) -> Generator:
        """Takes the scale from the training clips; nothing is trained."""
        assert isinstance(config, Config)
        spectrograms = Spectrograms(examples, task, config.width, run.device)
        return _Copy(spectrograms, Synthesis(spectrograms, None, config.iterations, run.seed), run.device)


MODEL = _LogMelCopyModel()
