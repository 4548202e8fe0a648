"""Small pictures of sounds for pages: a spectrogram as PNG."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT, get_window

from xmbench.media.image import encode_png

RANGE_DB = 70.0
_WINDOW_S = 0.025
_HOP_S = 0.005
# Control points of a dark-to-light colour scale that stays readable in grey (after "magma").
_SCALE = np.array(
    [
        *((0, 0, 4), (40, 17, 89), (101, 26, 128), (159, 47, 127)),
        *((212, 72, 102), (245, 125, 92), (254, 194, 140), (252, 253, 191)),
    ],
    dtype=np.float64,
)


def spectrogram_png(samples: NDArray[np.float32], sample_rate_hz: int, height_px: int = 96) -> bytes:
    """A log-magnitude spectrogram, 0 Hz at the bottom, half the sample rate at the top.

    Args:
        samples: float32 (T,), range -1..1.
        sample_rate_hz: its rate.
        height_px: height of the picture; its width is one pixel per 5 ms.

    Returns:
        A PNG file. Black is 70 dB below a full-scale sine or less.
    """
    window = get_window("hann", round(_WINDOW_S * sample_rate_hz))
    size = 2 * (1 << (len(window) - 1).bit_length())
    transform = ShortTimeFFT(window, round(_HOP_S * sample_rate_hz), sample_rate_hz, mfft=size)
    padded = np.concatenate([samples, np.zeros(max(0, len(window) - len(samples)), dtype=np.float32)])
    magnitude = np.abs(transform.stft(padded.astype(np.float64))) / (window.sum() / 2)
    edges = np.linspace(0, len(magnitude), height_px + 1).astype(int)
    rows = np.stack([magnitude[a : max(b, a + 1)].max(axis=0) for a, b in itertools.pairwise(edges)])
    level = 1.0 + 20.0 * np.log10(np.maximum(rows, 1e-10)) / RANGE_DB
    return encode_png(_coloured(np.clip(level, 0.0, 1.0)[::-1]))


def _coloured(level: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(H, W) in 0..1 -> (H, W, 3)."""
    position = level * (len(_SCALE) - 1)
    known = np.arange(len(_SCALE))
    channels = [np.interp(position, known, _SCALE[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
