"""A sound as statistics of its mel spectrogram, and a linear classifier on them: small enough to come with the package.

Features of a sound at 22,050 Hz: of each of 64 mel bands (40 Hz to 11,025 Hz, decibels relative to the loudest band of
the sound) the mean, the standard deviation, the 10th and the 90th percentile over time, and the mean absolute change
from one frame (23 ms) to the next.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from xmbench.media import audio
from xmbench.media.signal import Sound

SAMPLE_RATE_HZ = 22_050
_WINDOW, _HOP, _BANDS = 1024, 512, 64
_LOWEST_HZ = 40.0
_FLOOR_DB = -80.0
FEATURES = 5 * _BANDS


def features(item: Sound) -> NDArray[np.float64]:
    """Float64 (320,)."""
    samples = audio.resample(np.asarray(item.samples, np.float32), item.sample_rate_hz, SAMPLE_RATE_HZ)
    if len(samples) < _WINDOW + _HOP:
        samples = np.pad(samples, (0, _WINDOW + _HOP - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1)) ** 2  # (T, F)
    bands = power @ _filters().T
    levels = 10 * np.log10(np.maximum(bands, 1e-12))
    levels = np.maximum(levels - levels.max(), _FLOOR_DB)
    parts = [levels.mean(0), levels.std(0), *np.percentile(levels, [10, 90], axis=0)]
    return np.concatenate([*parts, np.abs(np.diff(levels, axis=0)).mean(0)])


@functools.cache
def _filters() -> NDArray[np.float64]:
    """Triangles that are even on the mel scale of O'Shaughnessy, (64, F)."""
    edges_mel = np.linspace(_mel(_LOWEST_HZ), _mel(SAMPLE_RATE_HZ / 2), _BANDS + 2)
    edges = 700 * (10 ** (edges_mel / 2595) - 1)
    bins = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE_HZ)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0.0, np.minimum(rising, falling))


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def probabilities(
    values: NDArray[np.float64],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Softmax of a linear function of standardised features: (N, 320) -> float32 (N, K)."""
    logits = ((values - mean) / scale) @ weight.T + bias
    logits -= logits.max(axis=1, keepdims=True)
    exponents = np.exp(logits)
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)
