"""The squared Frechet distance of outputs to references within one class, in units of the references' spread.

Few items per class leave most of a covariance undetermined. So the two normal distributions have a full covariance
along the first 16 principal axes of the class's references, and a spherical one in all other directions together:

    d^2 = |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C2^1/2 C1 C2^1/2)^1/2 - 2 (t1 t2)^1/2

with C of the 16 axes in the third term, and t the variance in the other directions. Covariances divide by n.

An item without an output cannot help: it counts the largest possible distance from the references' mean, and nothing
to the outputs' covariance. The distance is then at least that of any output in its place within the reach, because
|m1 - m2|^2 + tr C1 is the mean of |x - m2|^2, and both roots grow with C1, to which every item adds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

AXES = 16
REACH = 10.0  # squared distance from the class's mean, in units of the spread: what is farther counts this much
HIGHEST = REACH + 1.0  # all items at the largest distance

Matrix = NDArray[np.float64]


def in_class_axes(outputs: Matrix, references: Matrix, labels: NDArray[np.float64]) -> tuple[Matrix, Matrix]:
    """Outputs and references (N, D) as seen from their class.

    The origin is the mean of the class's references, the axes are their principal axes, the unit is the square root of
    the spread: the trace of the references' covariance within a class, averaged over the classes (of all references
    where they do not differ within a class; 1 where they are all the same). What is farther than the reach is put at
    the reach, in the same direction.
    """
    centres = np.stack([references[labels == label].mean(axis=0) for label in labels_of(labels)])
    own = centres[np.searchsorted(labels_of(labels), labels)]
    spread = _unit(references, own, labels)
    made, known = np.empty_like(outputs), np.empty_like(references)
    for label in labels_of(labels):
        rows = labels == label
        centred = references[rows] - own[rows]
        _, axes = np.linalg.eigh(centred.T @ centred)
        made[rows] = _within_reach((outputs[rows] - own[rows]) @ axes[:, ::-1] / spread)
        known[rows] = _within_reach(centred @ axes[:, ::-1] / spread)
    return made, known


def labels_of(labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The classes, sorted."""
    return np.unique(labels)


def _unit(references: Matrix, own: Matrix, labels: NDArray[np.float64]) -> float:
    squares = np.square(references - own).sum(axis=1)
    within = float(np.mean([squares[labels == label].mean() for label in labels_of(labels)]))
    overall = float(np.square(references - references.mean(axis=0)).sum(axis=1).mean())
    smallest = 1e-12 * float(np.square(references).sum(axis=1).mean())
    return float(np.sqrt(next((found for found in (within, overall) if found > smallest), 1.0)))


def _within_reach(points: Matrix) -> Matrix:
    lengths = np.sqrt(np.square(points).sum(axis=1, keepdims=True))
    return np.asarray(points * np.minimum(1.0, np.sqrt(REACH) / np.maximum(lengths, 1e-300)))


def distances(outputs: Matrix, references: Matrix, usable: NDArray[np.bool_], weights: Matrix) -> NDArray[np.float64]:
    """Distances of B weighted samples of one class, 0..`HIGHEST`; NaN for a sample without an item.

    Args:
        outputs: (N, D), as `in_class_axes` gives them.
        references: (N, D), likewise.
        usable: (N,): False where there is no output.
        weights: (B, N): how often each item counts.

    >>> line = np.array([[-1.0], [1.0]])
    >>> both, once = np.array([True, True]), np.ones((1, 2))
    >>> distances(line + 1.0, line, both, once), distances(0.0 * line, line, both, once)
    (array([1.]), array([1.]))
    """
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = weights / total[:, None]
    shares, empty = np.where(np.isfinite(shares), shares, 0.0), total == 0
    present = shares * usable
    known = shares @ references  # (B, D)
    spread, rest = _covariance(references, shares, known, np.ones(len(total)))
    share = present.sum(axis=1)
    first = present @ outputs
    mean = first / np.where(share > 0, share, 1.0)[:, None]
    own_spread, own_rest = _covariance(outputs, present, mean, share)
    squares = np.square(known).sum(axis=1)
    away = present @ np.square(outputs).sum(axis=1) - 2.0 * (first * known).sum(axis=1) + share * squares
    away += (1.0 - share) * np.square(np.sqrt(REACH) + np.sqrt(squares))
    variance = shares @ np.square(references).sum(axis=1) - squares
    found = away + variance - 2.0 * _common(spread, own_spread) - 2.0 * np.sqrt(rest * own_rest)
    return np.where(empty, np.nan, np.clip(found, 0.0, HIGHEST))


def _covariance(
    points: Matrix, shares: Matrix, mean: Matrix, total: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scatter about the mean of weighted points: along the first axes (B, K, K), in all others together (B,)."""
    near, far = points[:, :AXES], points[:, AXES:]
    products = (near[:, :, None] * near[:, None, :]).reshape(len(points), -1)
    size = near.shape[1]
    centre = mean[:, :AXES]
    scatter = (shares @ products).reshape(-1, size, size)
    scatter -= total[:, None, None] * centre[:, :, None] * centre[:, None, :]
    rest = shares @ np.square(far).sum(axis=1) - total * np.square(mean[:, AXES:]).sum(axis=1)
    return scatter, np.maximum(rest, 0.0)


def _common(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The trace of (A^1/2 B A^1/2)^1/2, of stacks of symmetric matrices (B, K, K)."""
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]) @ vectors.transpose(0, 2, 1)
    inner = root @ b @ root
    found = np.linalg.eigvalsh((inner + inner.transpose(0, 2, 1)) / 2.0)
    return np.asarray(np.sqrt(np.maximum(found, 0.0)).sum(axis=1))
