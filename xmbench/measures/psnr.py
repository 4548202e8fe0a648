"""Peak signal-to-noise ratio of two images in dB, 10 log10(255^2 / mean squared error), cut off at 100 dB.

Huynh-Thu and Ghanbari, Scope of validity of PSNR in image/video quality assessment, 2008.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PEAK = 255.0
MOST_DB = 100.0


def noise_ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """PSNR of (H, W, C) in 0..255; 0..100 dB, 100 for identical images; symmetric.

    >>> noise_ratio(np.zeros((4, 4, 1)), np.full((4, 4, 1), 255.0))
    0.0
    """
    error = float(np.square(b - a).mean())
    least = PEAK**2 / 10.0 ** (MOST_DB / 10.0)
    return float(10.0 * np.log10(PEAK**2 / max(error, least)))
