"""The squared Frechet distance of two normal distributions: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2).

Dowson and Landau, The Frechet distance between multivariate normal distributions, 1982.

With failed items it is bounded from above over everything that could have been in their place, within a reach.
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


REACH = 10.0  # in units of the references' spread


def reach_of(references: Matrix) -> float:
    """How far from the references' mean (N, D) an output counts: ten times the root of their variance.

    Where they are all the same it is ten times the length of their mean, and where that is 0, ten.
    """
    mean = references.mean(axis=0)
    spread = np.sqrt(np.square(references - mean).sum(axis=1).mean())
    length = float(np.sqrt(np.square(mean).sum()))
    return REACH * (float(spread) if spread > 1e-9 * length else length or 1.0)


def within(points: Matrix, centre: NDArray[np.float64], reach: float) -> Matrix:
    """Points (N, D), those beyond the reach moved to it, in the same direction.

    >>> within(np.array([[5.0], [1.0]]), np.zeros(1), 2.0)
    array([[2.],
           [1.]])
    """
    away = points - centre
    lengths = np.sqrt(np.square(away).sum(axis=1, keepdims=True))
    return np.where(lengths > reach, centre + away * (reach / np.maximum(lengths, 1e-300)), points)


def with_failures(
    points: Matrix, counts: NDArray[np.float64], failed: float, mean: NDArray[np.float64], cov: Matrix, reach: float
) -> float:
    """The distance of (N, D) to a normal distribution, if `failed` more items had been as bad as anything can be.

    |m1 - m2|^2 + tr C1 is at most n / (n - 1) of the mean of |x - m2|^2, to which a failed item adds the square of the
    reach; the last term grows with C1, to which a failed item adds nothing. So no points within the reach of the
    mean, in place of the failed items, have a larger distance.

    >>> with_failures(np.array([[0.0], [0.0]]), np.ones(2), 2.0, np.zeros(1), np.array([[1.0]]), 3.0)  # 2 * 9 / 3 + 1
    7.0
    """
    kept = float(counts.sum())
    total = kept + failed
    squares = float(counts @ np.square(points - mean).sum(axis=1)) + failed * reach**2
    own = moments(points, counts)[1] * max(kept - 1.0, 1.0) if kept else np.zeros_like(cov)
    least = max(total - 1.0, 1.0)
    shared = float(np.trace(own / least) + np.trace(cov) - frechet(mean, own / least, mean, cov))
    return max(0.0, squares / least + float(np.trace(cov)) - shared)
