"""What the judges of instrument sounds hear: half a second at 22,050 Hz, as mel bands or as semitones.

The first judge gets 80 mel bands in dB; the second 96 semitones from spectra of twice the length, as powers of 0.15,
which weigh weak partials more. Both are relative to the loudest of the clip, so that gain does not matter.

Shape letters: B batch, T samples, F frames.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmbench.media.audio import resample
from xmbench.media.signal import Sound

RATE_HZ = 22_050
SAMPLES = RATE_HZ // 2
FRONT_ENDS = ("mel", "semitones")
BANDS, MEL_WINDOW, MEL_HOP = 80, 2048, 256
MEL_LOW_HZ, MEL_HIGH_HZ = 40.0, 10_000.0
FLOOR_DB = 70.0
_FLOOR = 10.0 ** (-FLOOR_DB / 10.0)
SEMITONES, TONE_WINDOW, TONE_HOP = 96, 4096, 1024
LOWEST_HZ = 440.0 * 2.0 ** (-45 / 12)  # C1
_POWER = 0.15  # of amplitudes
_STEP = RATE_HZ // 100
_QUIETEST = 1e-16  # power


def shape_of(front_end: str) -> tuple[int, int]:
    """Bands and frames: (80, 44) or (96, 11)."""
    return (BANDS, 1 + SAMPLES // MEL_HOP) if front_end == "mel" else (SEMITONES, 1 + SAMPLES // TONE_HOP)


def heard(sounds: Sequence[Sound]) -> NDArray[np.float32]:
    """Sounds of any length and rate -> the loudest half second of each, float32 (N, T), at RATE_HZ."""
    return np.stack([loudest(resample(sound.samples, sound.sample_rate_hz, RATE_HZ)) for sound in sounds])


def loudest(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The half second with the most energy, float32 (SAMPLES,); a shorter sound has silence after it.

    Args:
        samples: float32 (T,) at RATE_HZ.
    """
    if len(samples) <= SAMPLES:
        return np.pad(np.asarray(samples, np.float32), (0, SAMPLES - len(samples)))
    sums = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, len(samples) - SAMPLES + 1, _STEP)
    start = int(starts[np.argmax(sums[starts + SAMPLES] - sums[starts])])
    return np.asarray(samples[start : start + SAMPLES], np.float32)


def features(waves: Tensor, front_end: str) -> Tensor:
    """(B, SAMPLES) at RATE_HZ -> (B, bands, frames), about -1..1; silence is -1 everywhere."""
    if front_end == "mel":
        bands = torch.einsum("bft,fm->bmt", _power(waves, MEL_WINDOW, MEL_HOP), _mel_table())
        levels = 10.0 * torch.log10(_relative(bands))
        return levels / (FLOOR_DB / 2) + 1.0
    tones = torch.einsum("bft,fm->bmt", _power(waves, TONE_WINDOW, TONE_HOP), _tone_table())
    lowest = float(_FLOOR ** (_POWER / 2))
    return 2.0 * (_relative(tones) ** (_POWER / 2) - lowest) / (1.0 - lowest) - 1.0


def _relative(bands: Tensor) -> Tensor:
    """Powers (B, M, F), relative to the loudest of each clip: `_FLOOR` to 1."""
    return (bands / bands.amax((1, 2), keepdim=True).clamp_min(_QUIETEST)).clamp_min(_FLOOR)


def _power(waves: Tensor, window: int, hop: int) -> Tensor:
    """(B, T) -> (B, window / 2 + 1, 1 + T // hop)."""
    spectrum = torch.stft(
        waves, window, hop, window=torch.hann_window(window), pad_mode="constant", return_complex=True
    )
    return torch.view_as_real(spectrum).square().sum(3)


@functools.cache
def _mel_table() -> Tensor:
    low, high = (2595.0 * np.log10(1.0 + hz / 700.0) for hz in (MEL_LOW_HZ, MEL_HIGH_HZ))
    return _triangles(700.0 * (10.0 ** (np.linspace(low, high, BANDS + 2) / 2595.0) - 1.0), MEL_WINDOW)


@functools.cache
def _tone_table() -> Tensor:
    return _triangles(LOWEST_HZ * 2.0 ** (np.arange(-1, SEMITONES + 1) / 12), TONE_WINDOW)


def _triangles(edges: NDArray[np.float64], window: int) -> Tensor:
    """Triangular bands of unit sum, at least two bins wide, (window / 2 + 1, len(edges) - 2)."""
    spacing = RATE_HZ / window
    hz = np.arange(window // 2 + 1)[:, None] * spacing
    left = np.minimum(edges[:-2], edges[1:-1] - spacing)
    right = np.maximum(edges[2:], edges[1:-1] + spacing)
    rising, falling = (hz - left) / (edges[1:-1] - left), (right - hz) / (right - edges[1:-1])
    bands = np.clip(np.minimum(rising, falling), 0.0, None)
    return torch.tensor(bands / bands.sum(axis=0), dtype=torch.float32)
