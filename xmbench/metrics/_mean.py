"""The score of metrics whose items have values of their own: the weighted mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean(states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted means of the first state column: (N, D), (B, N) -> (B,)."""
    return np.asarray(weights @ states[:, 0] / weights.sum(axis=1))
