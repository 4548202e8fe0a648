"""Copy-synthesis: the reference with its phase discarded and estimated by Griffin-Lim. An upper bound, not a system.

It is the best that a model can reach that generates magnitude spectra and leaves the phase to this algorithm.
Griffin and Lim, "Signal estimation from modified short-time Fourier transform" (IEEE Trans. ASSP 32(2), 1984), with
the momentum of Perraudin, Balazs and Soendergaard, "A fast Griffin-Lim algorithm" (WASPAA 2013), by torchaudio.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torchaudio.transforms import GriffinLim

from xmbench.formats.document import Part
from xmbench.interfaces import Conditions, Direction, Examples, Generator, Run, Task, item_rng
from xmbench.media.audio import to_float
from xmbench.networks.spectra import require_overlap


class Config(Part):
    """Settings of the short-time Fourier transform, in samples, and of the algorithm.

    Attributes:
        window: length of the Hann window (1,024 samples last 46 ms at 22,050 Hz).
        hop: samples from one window to the next, at most half a window: beyond, samples are lost between them.
        iterations: of the algorithm.
        momentum: 0 for the algorithm of 1984.
    """

    window: int = Field(1024, ge=16, le=8192)
    hop: int = Field(256, ge=1)
    iterations: int = Field(64, ge=1)
    momentum: float = Field(0.99, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _overlap(self) -> Config:
        require_overlap(self.window, self.hop)
        return self


class _CopySynthesis:
    def __init__(self, config: Config, samples: int, seed: int) -> None:
        self._config, self._samples, self._seed = config, samples, seed

    def generate(self, conditions: Conditions, direction: Direction) -> NDArray[np.float32]:
        """The references after the analysis and the synthesis, float32 (B, T) in -1..1, one by one."""
        assert conditions.references is not None  # the runner gives them to a model that declares `sees_references`
        clips = to_float(np.asarray(conditions.references, dtype=np.int16))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # one clip is too little work for several threads, which would wait for each other
        try:
            return np.stack([self._copy(item, clip) for item, clip in zip(conditions.ids, clips, strict=True)])
        finally:
            torch.set_num_threads(threads)

    def _copy(self, item: str, clip: NDArray[np.float32]) -> NDArray[np.float32]:
        config, window = self._config, torch.hann_window(self._config.window)
        wave = torch.from_numpy(clip)
        magnitude = torch.stft(wave, config.window, config.hop, window=window, return_complex=True).abs()
        synthesis = GriffinLim(
            config.window,
            config.iterations,
            hop_length=config.hop,
            power=1.0,
            momentum=config.momentum,
            length=self._samples,
        )
        with torch.random.fork_rng(devices=[]):  # the initial phase depends on the item alone
            torch.manual_seed(int(item_rng(self._seed, item).integers(2**31)))
            found: NDArray[np.float32] = synthesis(magnitude).numpy()
        return np.clip(found, -1.0, 1.0)


class _GriffinLimModel:
    """See the module."""

    name = "griffin-lim"
    directions: tuple[Direction, ...] = ("i2a",)
    oracle = True
    sees_references = True
    Config = Config

    def fit(self, examples: Examples, task: Task, config: object, run: Run) -> Generator:
        """Needs no training."""
        assert isinstance(config, Config)
        return _CopySynthesis(config, task.audio.samples, run.seed)


MODEL = _GriffinLimModel()
