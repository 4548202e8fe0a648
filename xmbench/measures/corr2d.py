"""Corr2D: the correlation of two auditory spectrograms, after a compression.

Ning et al., Audio Description from Image by Modal Translation Network, eq. 12; the power 0.3 is that of Akbari et al.,
Lip2AudSpec, ICASSP 2018.

The power lifts what is inaudible: a value 60 dB below the peak still counts an eighth of it. `floored` clips both
spectrograms there, so that noise nobody hears in a pause neither costs nor earns anything.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

CORR2D_POWER = 0.3
FLOOR_DB = -60.0  # of the reference's peak

Floats = NDArray[np.float64]


def compress(spectrogram: ArrayLike, power: float = CORR2D_POWER) -> Floats:
    """Element-wise power of a non-negative spectrogram (0.3: the setting of Lip2AudSpec).

    Args:
        spectrogram: any shape, non-negative.
        power: positive exponent; 1 changes nothing.

    Returns:
        The same shape.
    """
    values = np.asarray(spectrogram, dtype=np.float64)
    return values if power == 1.0 else np.power(values, power)


def floored(reference: ArrayLike, output: ArrayLike) -> tuple[Floats, Floats]:
    """Two compressed spectrograms, clipped from below at 60 dB under the reference's peak.

    The auditory spectrogram is linear in amplitude: 60 dB are a factor of 1e-3 before the power, 1e-3^0.3 = 0.126
    after it. With c = max(r) 1e-3^0.3, the reference becomes max(r, c). The output's floor is c at the output's own
    level: c mean(o) / mean(r), both means over the bins in which r > c. So a gain of the output changes nothing.
    The level is neither the output's peak nor its energy: one click would raise those and hide everything else under
    the floor. A mean of compressed values hardly moves with a few loud bins, and only what is made where the reference
    has sound moves it.

    Args:
        reference: (frames, 128), an auditory spectrogram after the power 0.3.
        output: the same shape, the same power.

    Returns:
        Both, clipped, for `correlation2d`. An output without any sound where the reference has it is not clipped.

    Raises:
        ValueError: the shapes differ or the arrays are empty.

    >>> floored([[1.0, 0.5, 0.0]], [[2.0, 1.0, 0.1]])[1].round(3)
    array([[2.   , 1.   , 0.252]])
    """
    r, o = np.asarray(reference, dtype=np.float64), np.asarray(output, dtype=np.float64)
    if r.shape != o.shape or not r.size:
        raise ValueError(f"expected two arrays of one shape, not empty, got {r.shape} and {o.shape}")
    floor = r.max() * 10 ** (FLOOR_DB / 20 * CORR2D_POWER)
    heard = r > floor
    if not heard.any():
        return r, o  # a silent reference has no peak
    return np.maximum(r, floor), np.maximum(o, floor * o[heard].mean() / r[heard].mean())


def correlation2d(a: ArrayLike, b: ArrayLike) -> float | None:
    """Pearson correlation over all bins, with one mean per array (``corr2`` of MATLAB).

    Args:
        a: finite values of any shape, such as an auditory spectrogram (frames, 128).
        b: the same shape.

    Returns:
        In [-1, 1], higher is better; symmetric; unchanged by a positive gain on either side. None when either
        array is constant (silence, for example): the correlation is then undefined, and the caller counts the
        item as failed.

    Raises:
        ValueError: the shapes differ or the arrays are empty.

    >>> round(correlation2d([[1, 2], [3, 4]], [[1, 2], [4, 3]]), 6)
    0.8
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape or not x.size:
        raise ValueError(f"expected two arrays of one shape, not empty, got {x.shape} and {y.shape}")
    left, right = _direction(x.ravel()), _direction(y.ravel())
    if left is None or right is None:
        return None
    return float(np.clip(np.sum(left * right), -1.0, 1.0))  # not np.dot, which starts threads in every worker


def _direction(values: Floats) -> Floats | None:
    """The values less their mean, at length 1; None where they are constant up to rounding."""
    largest = float(np.abs(values).max())
    if largest == 0.0:
        return None
    scaled = values / largest  # squares of very quiet signals would underflow
    scaled -= scaled.mean()
    norm = math.sqrt(np.sum(np.square(scaled)))
    if norm <= 1e-12 * math.sqrt(values.size):
        return None
    return scaled / norm
