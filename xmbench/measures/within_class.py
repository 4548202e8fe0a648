"""How near each output of one class is to its own reference, compared with other references of the class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xmbench.measures.neighbours import SAME, Points, squared_distances

_ROUNDING_S = 1e-6  # of the difference of two starts


def own_reference_ranks(
    outputs: Points, references: Points, groups: Sequence[str], starts_s: NDArray[np.float64], length_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The normalised rank of each output's own reference, and what it counts.

    The rank is the share of alternatives that are farther from the output than its own reference; equally near ones
    count one half. Alternatives are the references of other groups, each group with the same weight. If there is only
    one group, they are its references that begin at least `length_s` earlier or later.

    The weights make the mean of any fixed output 0.5: the groups count the same, whatever their size, and in a single
    group an item counts in proportion to its alternatives. So each comparison stands beside its reverse.

    Args:
        outputs: of one class, (N, D).
        references: of the same items, (N, D).
        groups: of the references, N names.
        starts_s: where they begin in their recording, (N,); NaN where that is not known.
        length_s: of a reference.

    Returns:
        Ranks 0..1 (N,), and weights (N,) that add to 1 for each group; 0 for items without alternatives.

    >>> places, unknown = np.array([[0.0], [1.0], [5.0]]), np.full(3, np.nan)
    >>> ranks, weights = own_reference_ranks(places + 2.4, places, ["a", "a", "b"], unknown, 0.5)
    >>> ranks.tolist(), weights.tolist()
    ([1.0, 0.0, 1.0], [0.5, 0.5, 1.0])
    """
    _, code, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    code = code.reshape(-1)
    several = len(sizes) > 1
    ranks, alternatives = np.zeros(len(outputs)), np.zeros(len(outputs))
    members = (code[:, None] == np.arange(len(sizes))).astype(np.float64)
    largest = np.square(references).sum(axis=1).max(initial=0.0)
    for rows, distances in squared_distances(outputs, references):
        places = np.arange(rows.start, rows.start + len(distances))
        gap = distances - np.take_along_axis(distances, places[:, None], axis=1)
        near = SAME * np.maximum(np.square(outputs[rows]).sum(axis=1), largest)[:, None]
        farther = (gap > near) + 0.5 * (np.abs(gap) <= near)
        if several:
            other = code[rows, None] != np.arange(len(sizes))
            ranks[rows] = (farther @ members / sizes * other).sum(axis=1) / (len(sizes) - 1)
        else:
            apart = np.abs(starts_s[rows, None] - starts_s[None]) >= length_s - _ROUNDING_S
            alternatives[rows] = apart.sum(axis=1)
            ranks[rows] = (farther * apart).sum(axis=1) / np.maximum(alternatives[rows], 1.0)
    weights = 1.0 / sizes[code] if several else alternatives / max(1.0, float(alternatives.sum()))
    return np.clip(ranks, 0.0, 1.0), weights
