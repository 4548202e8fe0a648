"""The nearest points of each query, exactly: what rows that show or play a stored item search with.

A matrix product, block by block, selects a few more candidates than are asked for, and their distances are computed
again in double precision. Ties go to the first point.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

BLOCK = 4096  # points that are compared at once: 50 MB of 32 x 32 colour pixels
SPARE = 16  # candidates beyond those asked for: more than rounding can put in a wrong order


def nearest(queries: NDArray[np.generic], points: NDArray[np.generic], count: int) -> NDArray[np.int64]:
    """Positions of the nearest points of each query, nearest first: (Q, D) and (N, D) -> int64 (Q, min(count, N)).

    `points` may be mapped from a file and larger than memory.
    """
    wanted = min(count, len(points))
    asked = torch.from_numpy(np.asarray(queries, dtype=np.float32))
    best = torch.empty((len(asked), 0))
    where = torch.empty((len(asked), 0), dtype=torch.int64)
    for start in range(0, len(points), BLOCK):
        block = torch.from_numpy(np.asarray(points[start : start + BLOCK], dtype=np.float32))
        # |q - p|^2 without |q|^2, which is the same for all points of a query
        distances = block.square().sum(dim=1) - 2.0 * asked @ block.T  # (Q, block)
        numbers = torch.arange(start, start + len(block)).expand(len(asked), -1)
        best, where = torch.cat([best, distances], dim=1), torch.cat([where, numbers], dim=1)
        best, order = best.topk(min(wanted + SPARE, best.shape[1]), dim=1, largest=False)
        where = where.gather(1, order)
    return np.stack(
        [_sorted(query, points, np.sort(row))[:wanted] for query, row in zip(queries, where.numpy(), strict=True)]
    )


def _sorted(query: NDArray[np.generic], points: NDArray[np.generic], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Candidates by their distance in double precision, then by position."""
    apart = np.asarray(points[rows], dtype=np.float64) - np.asarray(query, dtype=np.float64)
    return rows[np.argsort(np.square(apart).sum(axis=1), kind="stable")]


def elected(found: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each query's nearest points (Q, count) the nearest of the most frequent class, (Q,).

    A tie goes to the class with the nearest point. `labels` are those of all points, (N,).
    """
    chosen = np.empty(len(found), dtype=np.int64)
    for i, rows in enumerate(found):
        votes = np.bincount(labels[rows])
        chosen[i] = rows[np.argmax(votes[labels[rows]] == votes.max())]
    return chosen
