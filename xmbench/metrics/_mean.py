"""The score of metrics whose items have values of their own: the weighted mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.statistics import exact_mean


def mean(states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted means of the first state column: (N, D), (B, N) -> (B,).

    Where every item counts once the sum has no rounding error: a score does not depend on the machine's sums.
    """
    values = states[:, 0]
    means = np.asarray(weights @ values / weights.sum(axis=1))
    means[(weights == 1.0).all(axis=1)] = exact_mean(values)
    return means
