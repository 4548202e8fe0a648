"""Small pictures of sounds for pages: a spectrogram as PNG."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT, get_window

from xmbench.media.image import encode_palette_png, encode_png

RANGE_DB = 70.0
_WINDOW_S = 0.025
_HOP_S = 0.005
_PALETTE_COLOURS = 32
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
    magnitude = _magnitude(samples, sample_rate_hz)
    edges = np.linspace(0, len(magnitude), height_px + 1).astype(int)
    rows = np.stack([magnitude[a : max(b, a + 1)].max(axis=0) for a, b in itertools.pairwise(edges)])
    return encode_png(_coloured(_level(rows)))


def mel_spectrogram_png(
    samples: NDArray[np.float32], sample_rate_hz: int, *, height_px: int = 64, hop_s: float = 0.008
) -> bytes:
    """A log-magnitude spectrogram on the mel scale (2595 log10(1 + f / 700)), 0 Hz at the bottom.

    Args:
        samples: float32 (T,), range -1..1.
        sample_rate_hz: its rate; half of it is at the top.
        height_px: rows, equally far apart in mel.
        hop_s: seconds per pixel of the width.

    Returns:
        A PNG file with a palette, for pages with many of them. Black is 70 dB below a full-scale sine or less.
    """
    magnitude = _magnitude(samples, sample_rate_hz, hop_s)
    frequencies_hz = np.linspace(0, sample_rate_hz / 2, len(magnitude))
    top_mel = 2595 * np.log10(1 + sample_rate_hz / 2 / 700)
    corners_hz = 700 * (10 ** (np.linspace(0, top_mel, height_px + 2) / 2595) - 1)
    low, centre, high = (corners_hz[i : i + height_px, None] for i in range(3))
    # At least one bin wide, or the lowest rows would fall between two bins.
    width_hz = frequencies_hz[1]
    rising = (frequencies_hz - centre) / np.maximum(centre - low, width_hz) + 1
    falling = 1 - (frequencies_hz - centre) / np.maximum(high - centre, width_hz)
    weights = np.clip(np.minimum(rising, falling), 0, None)
    rows = np.sqrt(weights @ np.square(magnitude) / weights.sum(axis=1, keepdims=True))
    steps = np.rint(_level(rows) * (_PALETTE_COLOURS - 1)).astype(np.uint8)
    return encode_palette_png(steps, _coloured(np.linspace(0, 1, _PALETTE_COLOURS)[None])[0])


def _magnitude(samples: NDArray[np.float32], sample_rate_hz: int, hop_s: float = _HOP_S) -> NDArray[np.float64]:
    """(frequencies, frames): 1 for a full-scale sine."""
    window = get_window("hann", round(_WINDOW_S * sample_rate_hz))
    size = 2 * (1 << (len(window) - 1).bit_length())
    transform = ShortTimeFFT(window, round(hop_s * sample_rate_hz), sample_rate_hz, mfft=size)
    padded = np.concatenate([samples, np.zeros(max(0, len(window) - len(samples)), dtype=np.float32)])
    return np.asarray(np.abs(transform.stft(padded.astype(np.float64))) / (window.sum() / 2))


def _level(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Magnitudes, lowest frequency first -> 0..1 in dB, lowest frequency at the bottom."""
    level = 1.0 + 20.0 * np.log10(np.maximum(rows, 1e-10)) / RANGE_DB
    return np.asarray(np.clip(level, 0.0, 1.0)[::-1])


def _coloured(level: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(H, W) in 0..1 -> (H, W, 3)."""
    position = level * (len(_SCALE) - 1)
    known = np.arange(len(_SCALE))
    channels = [np.interp(position, known, _SCALE[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
