"""Wrong pairs: for an item, another one drawn uniformly from other classes, or from its own class."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmbench.errors import DatasetError

_TOLERANCE_S = 1e-6  # starts are decimal fractions: 0.8 - 0.3 must be 0.5 s


class WrongPairs:
    """Draws by given random numbers, so that what is drawn depends on nothing else.

    Chen et al. (2017), eqs. 5 to 7: the sampler over I_-i, A_-i (other classes) or I_i^-j (the same class).
    """

    def __init__(
        self,
        labels: Tensor,
        groups: Sequence[str] | None = None,
        starts_s: NDArray[np.float64] | None = None,
        min_gap_s: float = 0.0,
    ) -> None:
        """Takes what the items are.

        Args:
            labels: classes, int64 (N,).
            groups: the recordings that items are from, N names; only needed for a gap.
            starts_s: when items begin in their recordings, (N,); None where that is unknown: there is no gap then.
            min_gap_s: how far apart items of one recording must begin to be a wrong pair of the same class.
        """
        self._labels = labels
        gap = min_gap_s if groups is not None and starts_s is not None else 0.0
        recordings = np.unique(np.asarray(groups), return_inverse=True)[1] if gap else np.zeros(len(labels), np.int64)
        starts = starts_s if gap and starts_s is not None else np.zeros(len(labels))
        # Items of a class stand together, in it those of a recording, in this in the order of time.
        self._order = torch.from_numpy(np.lexsort((starts, recordings, labels.numpy())))
        self._place = torch.empty_like(self._order)
        self._place[self._order] = torch.arange(len(labels))
        self._counts = torch.bincount(labels)
        self._starts = torch.cumsum(self._counts, 0) - self._counts
        order = self._order.numpy()
        first, end = _too_near(labels.numpy()[order], recordings[order], starts[order], gap)
        self._near, self._near_count = torch.from_numpy(first), torch.from_numpy(end - first)

    def of_other_classes(self, items: Tensor, random: Tensor) -> Tensor:
        """Items of any other class than that of `items`, each as likely as the next.

        Args:
            items: positions, int64 (B,).
            random: float64 (B,) in 0..1, 1 excluded.

        Returns:
            Positions, int64 (B,).

        Raises:
            DatasetError: all items are of one class.
        """
        label = self._labels[items]
        others = len(self._labels) - self._counts[label]
        if bool((others == 0).any()):
            raise DatasetError("all items are of one class: there are no wrong pairs", expected="at least two classes")
        drawn = _index(random, others)
        beyond = drawn >= self._starts[label]  # the class itself is left out
        return self._order[drawn + beyond * self._counts[label]]

    def of_same_class(self, items: Tensor, random: Tensor) -> Tensor:
        """Other items of the same class that are not too near, in the form of `of_other_classes`.

        Raises:
            DatasetError: a class has no such item.
        """
        label, place = self._labels[items], self._place[items]
        others = self._counts[label] - self._near_count[place]
        if bool((others == 0).any()):
            raise DatasetError(
                "a class has one item only, or none far enough from another: there are no wrong pairs within it",
                expected="at least two items a class",
                todo="use more items, or a smaller gap where one is set",
            )
        drawn = _index(random, others)
        beyond = drawn >= self._near[place] - self._starts[label]  # the item and those too near are left out
        return self._order[self._starts[label] + drawn + beyond * self._near_count[place]]


def _too_near(
    labels: NDArray[np.int64], recordings: NDArray[np.int64], starts_s: NDArray[np.float64], gap_s: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each of the ordered items, the places of itself and those too near: the first, and one after the last."""
    first = np.arange(len(labels))
    end = first + 1
    if not gap_s:
        return first, end
    changes = np.flatnonzero((np.diff(labels) != 0) | (np.diff(recordings) != 0)) + 1
    bounds = [0, *changes.tolist(), len(labels)]
    for start, stop in pairwise(bounds):
        times, room = starts_s[start:stop], gap_s - _TOLERANCE_S
        first[start:stop] = np.minimum(start + np.searchsorted(times, times - room, side="right"), first[start:stop])
        end[start:stop] = np.maximum(start + np.searchsorted(times, times + room, side="left"), end[start:stop])
    return first, end


def _index(random: Tensor, count: Tensor) -> Tensor:
    """An index 0..count-1 for each random number in 0..1."""
    return torch.minimum((random * count).long(), count - 1)
