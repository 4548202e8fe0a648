"""Many comparisons at once: with enough pairs of equal systems, some differ by chance."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for all of them together (Holm, 1979): the chance of any wrong claim stays below the level.

    Args:
        p_values: each within 0..1.

    Returns:
        In the same order, each within 0..1 and not below its own.

    >>> holm([0.04, 0.01, 0.03])
    [0.06, 0.03, 0.06]
    """
    count, highest = len(p_values), 0.0
    adjusted = [0.0] * count
    for passed, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (count - passed) * p_values[index]))
        adjusted[index] = highest
    return adjusted
