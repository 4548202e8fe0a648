"""Distances between two sets of points, in blocks of at most a few million."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 4_000_000
SAME = 1e-9  # relative to the square of the larger of two points: rounding error of a distance of zero

Points = NDArray[np.float64]


def squared_distances(a: Points, b: Points) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Squared Euclidean distances of blocks of (N, D) to all of (M, D): rows, and (rows, M).

    Distances within rounding error of zero are set to zero, so that identical points are recognised.
    """
    norms_a, norms_b = np.square(a).sum(axis=1), np.square(b).sum(axis=1)
    step = max(1, _AT_ONCE // max(1, len(b)))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        found = norms_a[rows, None] + norms_b[None] - 2.0 * (a[rows] @ b.T)
        found[found < SAME * np.maximum(norms_a[rows, None], norms_b[None])] = 0.0
        yield rows, found


def nearest_others(points: Points, k: int) -> NDArray[np.float64]:
    """Squared distance of each point of (N, D) to its k-th nearest other point; fewer others: the farthest; none: 0.

    >>> nearest_others(np.array([[0.0], [1.0], [3.0]]), 1)
    array([1., 1., 4.])
    """
    if len(points) < 2:
        return np.zeros(len(points))
    found = np.empty(len(points))
    for rows, distances in squared_distances(points, points):
        own = np.arange(rows.start, rows.start + len(distances))
        distances[np.arange(len(distances)), own] = np.inf
        nth = min(k, len(points) - 1) - 1
        found[rows] = np.partition(distances, nth, axis=1)[:, nth]
    return found


def inside(points: Points, centres: Points, squared_radii: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each point of (N, D) is in a ball around any of the centres (M, D).

    >>> inside(np.array([[0.5], [2.5]]), np.array([[0.0], [4.0]]), np.array([1.0, 1.0]))
    array([ True, False])
    """
    found = np.zeros(len(points), dtype=bool)
    if len(centres):
        for rows, distances in squared_distances(points, centres):
            found[rows] = (distances <= squared_radii[None] * (1.0 + SAME)).any(axis=1)
    return found


def times_inside(points: Points, centres: Points, squared_radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """In how many balls around the centres (M, D) each point of (N, D) is.

    >>> times_inside(np.array([[0.5], [2.5]]), np.array([[0.0], [1.0]]), np.array([1.0, 4.0]))
    array([2., 1.])
    """
    found = np.zeros(len(points))
    if len(centres):
        for rows, distances in squared_distances(points, centres):
            found[rows] = (distances <= squared_radii[None] * (1.0 + SAME)).sum(axis=1)
    return found


def covered(centres: Points, squared_radii: NDArray[np.float64], points: Points) -> NDArray[np.bool_]:
    """Whether the ball around each centre of (M, D) holds any of the points (N, D).

    >>> covered(np.array([[0.0], [4.0]]), np.array([1.0, 1.0]), np.array([[0.5], [2.5]]))
    array([ True, False])
    """
    found = np.zeros(len(centres), dtype=bool)
    if len(points):
        for rows, distances in squared_distances(centres, points):
            found[rows] = (distances <= squared_radii[rows, None] * (1.0 + SAME)).any(axis=1)
    return found


def mean_distance_to_others(points: Points) -> NDArray[np.float64]:
    """Mean Euclidean distance of each point of (N, D) to the other ones; 0 for a single point.

    >>> mean_distance_to_others(np.array([[0.0], [1.0], [3.0]]))
    array([2. , 1.5, 2.5])
    """
    if len(points) < 2:
        return np.zeros(len(points))
    found = np.empty(len(points))
    for rows, distances in squared_distances(points, points):
        found[rows] = np.sqrt(distances).sum(axis=1) / (len(points) - 1)
    return found


def nearest_distances(points: Points, known: NDArray[np.float32]) -> NDArray[np.float64]:
    """Euclidean distance of each point of (N, D) to the nearest of known points (M, D), M >= 1, both as float32.

    The nearest is searched in single precision; its distance is then taken exactly, so that a copy has distance 0.

    >>> nearest_distances(np.array([[3.0], [5.0]]), np.array([[0.0], [5.0]], dtype=np.float32))
    array([2., 0.])
    """
    single = points.astype(np.float32)
    best, place = np.full(len(points), np.inf, np.float32), np.zeros(len(points), np.int64)
    step = max(1, _AT_ONCE // max(1, len(points)))
    for start in range(0, len(known), step):
        part = np.asarray(known[start : start + step])
        found = np.square(part).sum(axis=1)[None] - 2.0 * (single @ part.T)
        nearest = found.argmin(axis=1)
        value = found[np.arange(len(points)), nearest]
        place, best = np.where(value < best, start + nearest, place), np.minimum(best, value)
    return np.asarray(np.sqrt(np.square(single.astype(np.float64) - known[place]).sum(axis=1)))
