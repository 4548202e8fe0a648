"""The squared Frechet distance of two normal distributions: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2).

Dowson and Landau, The Frechet distance between multivariate normal distributions, 1982.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def moments(points: Matrix, counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], Matrix]:
    """Mean (D,) and unbiased covariance (D, D) of (N, D), each row counted `counts` times; zeros for a single item."""
    total = counts.sum()
    mean = counts @ points / total
    away = (points - mean) * np.sqrt(counts)[:, None]
    return mean, away.T @ away / max(total - 1.0, 1.0)


def frechet(mean_a: NDArray[np.float64], cov_a: Matrix, mean_b: NDArray[np.float64], cov_b: Matrix) -> float:
    """Squared Frechet distance of two normal distributions, >= 0. Singular covariances are fine.

    Only symmetric eigenvalues are taken: C1^1/2 C2 C1^1/2 is positive semi-definite, so nothing imaginary appears.

    Args:
        mean_a: (D,).
        cov_a: (D, D), symmetric.
        mean_b: (D,).
        cov_b: (D, D), symmetric.

    >>> frechet(np.zeros(1), np.array([[4.0]]), np.array([3.0]), np.array([[1.0]]))  # 3^2 + (2 - 1)^2
    10.0
    """
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    inner = root @ cov_b @ root
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh((inner + inner.T) / 2.0), 0.0)).sum()
    apart = np.square(mean_a - mean_b).sum()
    return float(max(0.0, apart + np.trace(cov_a) + np.trace(cov_b) - 2.0 * shared))
