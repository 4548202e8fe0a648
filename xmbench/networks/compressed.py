"""Compressed magnitude spectra as the output of a network, and the waveforms that sound like them.

Shape letters: B batch, T samples, F = window / 2 + 1 frequencies, N = 1 + T // hop frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xmbench.networks.spectra import frames_of, griffin_lim, initial_phases, magnitudes_of


@dataclass(frozen=True, slots=True)
class CompressedSpectra:
    """|STFT| ** power of clips in -1..1, scaled to 0..1: a power of 0.3 approximates loudness.

    Takes of one word that differ in phase cancel in the mean of their waveforms, and not in the mean of these.

    Attributes:
        samples: T.
        window: length of the Hann window in samples.
        hop: samples between frames, at most half a window.
        power: of the compression, 0..1.
    """

    samples: int
    window: int
    hop: int
    power: float

    @property
    def shape(self) -> tuple[int, int]:
        """F and N."""
        return self.window // 2 + 1, frames_of(self.samples, self.hop)

    @property
    def values(self) -> int:
        """F * N, the number of values of a clip."""
        return self.shape[0] * self.shape[1]

    def of(self, waves: Tensor) -> Tensor:
        """Waveforms float32 (B, T) in -1..1 -> values (B, F * N) in 0..1."""
        magnitudes = magnitudes_of(waves, self.window, self.hop) / self._largest
        return magnitudes.pow(self.power).flatten(1)

    def waveforms(self, values: Tensor, seed: int, ids: Sequence[str], iterations: int) -> Tensor:
        """Values (B, F * N) -> waveforms float32 (B, T) in -1..1, by Griffin-Lim from phases of each item's own.

        Values beyond 0..1, where no clip has any, are set to the nearer end.
        """
        magnitudes = values.float().clamp(0.0, 1.0).view(-1, *self.shape).pow(1.0 / self.power) * self._largest
        phases = initial_phases(seed, ids, *self.shape).to(values.device)
        found = griffin_lim(magnitudes, phases, self.window, self.hop, self.samples, iterations)
        return torch.clamp(found, -1.0, 1.0)

    @property
    def _largest(self) -> float:
        """Sum of the Hann window: no frame of a clip in -1..1 has a larger magnitude."""
        return self.window / 2.0
