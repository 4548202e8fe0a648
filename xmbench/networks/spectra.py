"""From waveforms to log-mel spectra and back: the front end and the vocoder of models that generate spectra.

Shape letters: B batch, T samples, F = window / 2 + 1 frequencies, N = 1 + T // hop frames, M mel bands. Frames are
centred on multiples of the hop, windows are Hann's; all functions work on the device of their input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from xmbench.interfaces import item_rng

# Divides a complex number by its own size where that is not zero (as torchaudio does).
TINY = 1e-16
SILENCE = 1e-3  # samples below it are no part of the word whose level is measured


def require_overlap(window: int, hop: int) -> None:
    """Checks that windows overlap by half or more: beyond, samples are lost between them.

    Args:
        window: length of a window in samples.
        hop: samples from one window to the next.

    Raises:
        ValueError: the hop is more than half of the window.
    """
    if 2 * hop > window:
        raise ValueError(f"a hop of {hop} samples is more than half of the window of {window}")


def frames_of(samples: int, hop: int) -> int:
    """N, the number of frames of a clip."""
    return 1 + samples // hop


def magnitudes_of(waves: Tensor, window: int, hop: int) -> Tensor:
    """Waveforms float32 (B, T) -> magnitudes of the short-time Fourier transform (B, F, N), mirrored at the ends."""
    spectrum = torch.stft(waves, window, hop, window=_hann(window, waves), return_complex=True)
    return spectrum.abs()


def word_level(waves: Tensor) -> Tensor:
    """Root mean square of the samples that are not silent, (B, T) -> (B,); 1 for a clip without any."""
    loud = waves.abs() > SILENCE
    energy = (waves.square() * loud).sum(dim=1)
    return torch.where(loud.any(dim=1), (energy / loud.sum(dim=1).clamp_min(1)).sqrt(), torch.ones_like(energy))


def initial_phases(seed: int, ids: Sequence[str], frequencies: int, frames: int) -> Tensor:
    """Uniform phases in radians, float32 (B, F, N) on the host; those of an item depend on (seed, item id) alone."""
    drawn = [item_rng(seed, f"{item}/phase").random((frequencies, frames), dtype=np.float32) for item in ids]
    return torch.from_numpy(np.stack(drawn)) * (2.0 * math.pi)


@torch.no_grad()
def griffin_lim(
    magnitudes: Tensor, phases: Tensor, window: int, hop: int, samples: int, iterations: int, momentum: float = 0.99
) -> Tensor:
    """Waveforms whose spectra come near the given magnitudes.

    D. Griffin, J. Lim, "Signal estimation from modified short-time Fourier transform", IEEE Trans. ASSP 32(2), 1984;
    momentum of N. Perraudin, P. Balazs, P. Soendergaard, "A fast Griffin-Lim algorithm", WASPAA 2013. The values are
    those of `torchaudio.functional.griffinlim`, which draws the first phases of a batch at once: here each item
    brings its own (`initial_phases`), so that it sounds the same in every batch. Its bits may differ by rounding
    where the Fourier transform of the device works on several items together.

    Args:
        magnitudes: float32 (B, F, N), not negative, with N = 1 + samples // hop.
        phases: where the search starts, in radians, float32 (B, F, N).
        window: length of the Hann window in samples.
        hop: samples between frames, at most half a window.
        samples: T.
        iterations: 0 gives the initial phases.
        momentum: 0 for the algorithm of 1984.

    Returns:
        Float32 (B, T).

    Raises:
        ValueError: the magnitudes are not those of such a clip.
    """
    expected = (len(magnitudes), window // 2 + 1, frames_of(samples, hop))
    if magnitudes.shape != expected or phases.shape != expected:
        raise ValueError(f"magnitudes {tuple(magnitudes.shape)} and phases {tuple(phases.shape)}, expected {expected}")
    hann = _hann(window, magnitudes)
    share = momentum / (1.0 + momentum)
    found = torch.polar(magnitudes, phases)
    before: Tensor | None = None
    for _ in range(iterations):
        wave = torch.istft(found, window, hop, window=hann, length=samples)
        rebuilt = torch.stft(wave, window, hop, window=hann, return_complex=True)
        ahead = rebuilt if before is None else rebuilt - share * before
        before = rebuilt
        found = ahead * (magnitudes / ahead.abs().add_(TINY))
    return torch.istft(found, window, hop, window=hann, length=samples)


def _hann(window: int, like: Tensor) -> Tensor:
    return torch.hann_window(window, dtype=like.dtype, device=like.device)


class LogMel(nn.Module):
    """Log-mel spectra and their inversion: Slaney's mel scale and area norm, natural logarithm.

    A module only so that `to(device)` moves its two matrices; it has no weights, and nothing of it is stored.

    Attributes:
        window, hop: of the short-time Fourier transform, in samples.
        bands: M.
        floor: smallest value before the logarithm.
        power: 1 for mel bands of magnitudes, 2 of power.
    """

    bank: Tensor
    inverse: Tensor

    def __init__(
        self, rate: int, window: int, hop: int, bands: int, f_min: float, f_max: float, floor: float, power: float = 1.0
    ) -> None:
        """Computes the bank (M, F) and its pseudo-inverse (F, M); `rate`, `f_min` and `f_max` are in Hz."""
        super().__init__()
        self.window, self.hop, self.bands, self.floor, self.power = window, hop, bands, floor, power
        bank = melscale_fbanks(window // 2 + 1, f_min, f_max, bands, rate, norm="slaney", mel_scale="slaney").T
        self.register_buffer("bank", bank.contiguous(), persistent=False)
        self.register_buffer("inverse", torch.linalg.pinv(bank.double()).float().contiguous(), persistent=False)

    def forward(self, waves: Tensor) -> Tensor:
        """Waveforms float32 (B, T) -> log-mel spectra (B, M, N)."""
        magnitudes = magnitudes_of(waves, self.window, self.hop)
        return torch.log(torch.matmul(self.bank, magnitudes**self.power).clamp_min(self.floor))

    def invert(self, spectra: Tensor, steps: int = 0) -> Tensor:
        """Log-mel spectra (B, M, N) -> magnitudes (B, F, N) that are not negative.

        The pseudo-inverse with negative values set to zero. Each further step is one multiplicative update of
        least squares without negative values (D. Lee, H. Seung, "Algorithms for non-negative matrix factorization",
        NIPS 2000), after which the bands of the magnitudes are nearer to the given ones.
        """
        bands = spectra.exp()
        found = torch.matmul(self.inverse, bands).clamp_min(0.0)
        if steps:
            wanted = torch.matmul(self.bank.T, bands)
            found = found.clamp_min(self.floor * 1e-3)  # a product never leaves zero
            for _ in range(steps):
                found = found * (wanted / torch.matmul(self.bank.T, torch.matmul(self.bank, found)).clamp_min(TINY))
        return found ** (1.0 / self.power) if self.power != 1.0 else found
