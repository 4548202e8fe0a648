"""Which items are rated: seeded, as many of each class as possible, and few of one take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np


def sample(
    ids: Sequence[str], labels: Sequence[int], groups: Sequence[str], *, per_class: int, per_group: int, seed: int
) -> list[str]:
    """Ids of the items to rate, sorted.

    The groups of a class (takes, videos, speakers) have their turns in a drawn order, so that none gives two items
    before all have given one. Several items of a group are evenly apart in the order of their ids, from a drawn start:
    neighbouring windows of a take are nearly the same.

    Args:
        ids: N.
        labels: class of each.
        groups: group of each.
        per_class: items of a class at most; fewer where its groups do not give as many.
        per_group: items of one group within a class at most.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    classes: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for item, label, group in sorted(zip(ids, labels, groups, strict=True)):
        classes[label][group].append(item)
    chosen: list[str] = []
    for label in sorted(classes):
        names = sorted(classes[label])
        own = [classes[label][names[place]] for place in rng.permutation(len(names))]
        counts = _turns([min(per_group, len(items)) for items in own], per_class)
        for items, count in zip(own, counts, strict=True):
            start = float(rng.random())
            chosen += [items[int((turn + start) * len(items) / count)] for turn in range(count)]
    return sorted(chosen)


def _turns(most: Sequence[int], total: int) -> list[int]:
    """How many each gives, in turns, until there are enough."""
    counts = [0] * len(most)
    for turn in range(max(most, default=0)):
        for place, limit in enumerate(most):
            if turn < limit and sum(counts) < total:
                counts[place] += 1
    return counts


def drawn_twice(items: int, count: int | None, seed: int) -> set[int]:
    """Positions of the items that each rater gets twice: `count` of them, or one in ten and at least one."""
    wanted = -(-items // 10) if count is None else min(count, items)
    return {int(place) for place in np.random.default_rng([seed, 1]).permutation(items)[:wanted]}
