"""Input of a spoken-word judge: 40 mel bands below 3.6 kHz, 96 frames (or more) of 10 ms around the word.

Band-limited so that 8 kHz recordings and 22 kHz synthesis look alike; relative to the loudest band of the clip
so that gain does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmbench.media.audio import resample

RATE_HZ = 8_000
HOP = 80
WINDOW = 256
FRAMES = 96
BANDS = 40
LOW_HZ, HIGH_HZ = 80.0, 3_600.0
FLOOR_DB = 45.0
_PREEMPHASIS_FROM_HZ = 300.0  # 6 dB per octave above: the tilt of speech
_QUIETEST = 1e-20


def mel_centres() -> NDArray[np.float64]:
    """Edges and centres of the bands in Hz, shape (BANDS + 2,), equally spaced on the mel scale."""
    low, high = (2595.0 * np.log10(1.0 + hz / 700.0) for hz in (LOW_HZ, HIGH_HZ))
    return np.asarray(700.0 * (10.0 ** (np.linspace(low, high, BANDS + 2) / 2595.0) - 1.0))


def mel_bands(bins: int, *, warp: NDArray[np.float64] | float = 1.0) -> Tensor:
    """Triangular bands with unit sum, shape (bins, BANDS).

    Args:
        bins: of the power spectrum, 0 to RATE_HZ / 2 (129) or to RATE_HZ (257 at twice the rate).
        warp: factor on the edges, one number or one per edge (BANDS + 2,): another vocal tract.
    """
    spacing = RATE_HZ / WINDOW
    edges = mel_centres() * warp
    hz = np.arange(bins)[:, None] * spacing
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (hz - np.minimum(left, centre - spacing)) / (centre - np.minimum(left, centre - spacing))
    falling = (np.maximum(right, centre + spacing) - hz) / (np.maximum(right, centre + spacing) - centre)
    bands = np.clip(np.minimum(rising, falling), 0.0, None)
    return torch.tensor(bands / bands.sum(axis=0), dtype=torch.float32)


def power(samples: Tensor, window: int, hop: int) -> Tensor:
    """Power spectra with a Hann window: (B, T) -> (B, window / 2 + 1, 1 + T // hop)."""
    shape = torch.hann_window(window)
    spectrum = torch.stft(samples, window, hop, window, shape, center=True, pad_mode="constant", return_complex=True)
    return spectrum.abs().square()


def normalised(bands: Tensor) -> Tensor:
    """Band powers (B, BANDS, T) -> 0 dB to -FLOOR_DB below the clip's loudest band, scaled to about -1..1."""
    centres = mel_centres()[1:-1]
    tilt = torch.tensor((np.maximum(centres, _PREEMPHASIS_FROM_HZ) / _PREEMPHASIS_FROM_HZ) ** 2, dtype=torch.float32)
    lifted = bands * tilt[None, :, None]
    loudest = lifted.amax((1, 2), keepdim=True).clamp_min(_QUIETEST)
    level = 10.0 * torch.log10((lifted / loudest).clamp_min(10.0 ** (-FLOOR_DB / 10.0))) + FLOOR_DB
    return level / 20.0 - FLOOR_DB / 40.0


def frames_for(longest_s: float) -> int:
    """Frames that hold words of up to this length: FRAMES, or for longer words the next multiple of 8."""
    return max(FRAMES, 8 * math.ceil(longest_s * RATE_HZ / HOP / 8))


def features(clips: Sequence[NDArray[np.float32]], sample_rate_hz: int, frames: int = FRAMES) -> Tensor:
    """Clips float32 (T,) of any length -> (N, BANDS, frames)."""
    samples = torch.from_numpy(np.stack([_word(clip, sample_rate_hz, frames) for clip in clips]))
    return normalised(torch.einsum("bft,fm->bmt", power(samples, WINDOW, HOP), mel_bands(WINDOW // 2 + 1)))


def _word(clip: NDArray[np.float32], sample_rate_hz: int, wanted: int) -> NDArray[np.float32]:
    """The frames (0.95 s for 96) with the most energy, at 8 kHz; the middle of all positions within 0.1 % of it."""
    samples = resample(np.asarray(clip, dtype=np.float32), sample_rate_hz, RATE_HZ)
    length = (wanted - 1) * HOP
    padded = np.pad(samples, length)
    frames = len(padded) // HOP
    energy = np.square(padded[: frames * HOP], dtype=np.float64).reshape(frames, HOP).sum(axis=1)
    sums = np.concatenate([[0.0], np.cumsum(energy)])
    inside = sums[wanted - 1 :] - sums[: -(wanted - 1)]
    best = np.flatnonzero(inside >= inside.max() * 0.999)
    start = int(best[0] + best[-1]) // 2 * HOP
    return np.asarray(padded[start : start + length], dtype=np.float32)
