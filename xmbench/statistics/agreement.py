"""How far several people agree who scored the same things."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ordinal_alpha(ratings: NDArray[np.float64]) -> float | None:
    """Krippendorff's alpha with the ordinal metric: 1 full agreement, 0 that of chance, below 0 worse.

    K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section D: one minus the observed over the
    expected disagreement, from the matrix of coincidences within units. Two scores differ by how many ratings lie
    between them, not by their numbers. Units with one rating do not count.

    Args:
        ratings: shape (R, N), NaN where a rater did not rate a unit.

    Returns:
        None where no unit has two ratings, or all ratings are equal.

    >>> ordinal_alpha(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 2.0]]))
    0.7777777777777778
    """
    given = np.isfinite(ratings)
    kept = ratings[:, given.sum(axis=0) > 1]
    values = np.unique(kept[np.isfinite(kept)])
    if len(values) < 2:
        return None
    counts = np.stack([(kept == value).sum(axis=0) for value in values], axis=1).astype(np.float64)  # (N, V)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(values))
    coincidences = (pairs / (counts.sum(axis=1) - 1)[:, None, None]).sum(axis=0)  # (V, V)
    each = coincidences.sum(axis=0)
    up_to = np.cumsum(each) - each / 2  # ratings below a value, and half of those at it
    distance = (up_to[:, None] - up_to[None, :]) ** 2
    expected = float((np.outer(each, each) * distance).sum()) / (float(each.sum()) - 1)
    return 1 - float((coincidences * distance).sum()) / expected
