"""Structural similarity of two images.

Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, 2004, eq. 13, with the published
settings: a Gaussian window of 11 x 11 pixels with standard deviation 1.5, K1 = 0.01, K2 = 0.03, range 255.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

WINDOW_PX = 11
DEVIATION_PX = 1.5
C1 = (0.01 * 255.0) ** 2
C2 = (0.03 * 255.0) ** 2


def window() -> NDArray[np.float64]:
    """The Gaussian window along one axis, shape (11,), sum 1."""
    away = np.arange(WINDOW_PX) - WINDOW_PX // 2
    heights = np.exp(-np.square(away) / (2.0 * DEVIATION_PX**2))
    return np.asarray(heights / heights.sum())


def similarity(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Mean SSIM of (H, W, C) in 0..255, H and W at least 11; -1..1, 1 for identical images.

    Two uniform images, of 100 and 110: (2 m_a m_b + C1) / (m_a^2 + m_b^2 + C1).

    >>> round(similarity(np.full((11, 11, 1), 100.0), np.full((11, 11, 1), 110.0)), 6)
    0.995476
    """
    mean_a, mean_b = _smooth(a), _smooth(b)
    var_a, var_b = _smooth(a * a) - mean_a**2, _smooth(b * b) - mean_b**2
    shared = _smooth(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * shared + C2) / (var_a + var_b + C2)
    return float((light * structure).mean())


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted local means, shape (H - 10, W - 10, C)."""
    edge = WINDOW_PX // 2
    across = correlate1d(correlate1d(values, window(), axis=0), window(), axis=1)
    return np.asarray(across[edge:-edge, edge:-edge])
