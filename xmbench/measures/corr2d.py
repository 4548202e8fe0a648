"""Corr2D: the correlation of two auditory spectrograms, after a compression.

Ning et al., Audio Description from Image by Modal Translation Network, eq. 12; the power 0.3 is that of Akbari et al.,
Lip2AudSpec, ICASSP 2018.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

CORR2D_POWER = 0.3

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
