"""Log-spectral distance of two sounds in dB: how far their spectra are apart, in a frame, on average.

A. Gray, J. Markel, "Distance measures for speech processing", IEEE Trans. ASSP 24(5), 1976 (the root mean square of
log spectra, d_2), as it is used of generated sounds: windows of 2,048 samples every 512, the mean over frames (Kuleshov
et al., "Audio super-resolution using neural nets", ICLR workshop 2017, eq. 5; Liu et al., "Neural vocoder is all you
need for speech super-resolution", Interspeech 2022). Those print the logarithm of powers without the 10 of dB: a tenth
of the value here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

WINDOW, HOP = 2048, 512
FLOOR_DB = -100.0
MOST_DB = 20.0 * float(np.log10(2.0)) - FLOOR_DB  # a constant of full scale against silence

Floats = NDArray[np.float64]


def log_spectrum(samples: ArrayLike) -> Floats:
    """Power in dB by frame and frequency: (1 + T // 512, 1025).

    Hann windows of 2,048 samples, centred on multiples of 512, with silence around the clip. 0 dB is a sinusoid of
    full scale; what is below -100 dB, where 16 bits end, counts as -100 dB.

    Args:
        samples: (T,), T at least 1, in -1..1.

    Raises:
        ValueError: not one-dimensional, or empty.
    """
    x = np.asarray(samples, dtype=np.float64)
    if x.ndim != 1 or not x.size:
        raise ValueError(f"expected samples (T,), not empty, got {x.shape}")
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, WINDOW // 2), WINDOW)[::HOP]
    amplitudes = np.abs(np.fft.rfft(frames * hann, axis=1)) / (hann.sum() / 2.0)
    quietest: float = 10.0 ** (FLOOR_DB / 20.0)
    return np.asarray(20.0 * np.log10(np.maximum(amplitudes, quietest)))


def log_spectral_distance(reference: ArrayLike, output: ArrayLike) -> float:
    """Mean over frames of the root mean square over frequencies of the difference of two log spectra.

    Args:
        reference: (frames, frequencies) in dB, of `log_spectrum`.
        output: the same shape.

    Returns:
        0..106.02 dB, lower is better; symmetric, 0 only for equal spectra. A gain of g dB on a sound that is nowhere
        near the floor is a distance of g.

    Raises:
        ValueError: the shapes differ or the arrays are empty.

    >>> log_spectral_distance([[0.0, -10.0], [-20.0, -20.0]], [[0.0, -10.0], [-17.0, -16.0]]).__round__(3)
    1.768
    """
    r, o = np.asarray(reference, dtype=np.float64), np.asarray(output, dtype=np.float64)
    if r.shape != o.shape or r.ndim != 2 or not r.size:
        raise ValueError(f"expected two log spectra of one shape, not empty, got {r.shape} and {o.shape}")
    return min(float(np.sqrt(np.square(o - r).mean(axis=1)).mean()), MOST_DB)
