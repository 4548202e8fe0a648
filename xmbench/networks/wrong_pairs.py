"""Wrong pairs: for an item, another one drawn uniformly from other classes, or from its own class."""

from __future__ import annotations

import torch
from torch import Tensor

from xmbench.errors import DatasetError


class WrongPairs:
    """Draws by given random numbers, so that what is drawn depends on nothing else.

    Chen et al. (2017), eqs. 5 to 7: the sampler over I_-i, A_-i (other classes) or I_i^-j (the same class).
    """

    def __init__(self, labels: Tensor) -> None:
        """Takes the classes of all items, int64 (N,)."""
        self._labels = labels
        self._order = torch.argsort(labels, stable=True)  # items of a class stand together
        self._place = torch.empty_like(self._order)
        self._place[self._order] = torch.arange(len(labels))
        self._counts = torch.bincount(labels)
        self._starts = torch.cumsum(self._counts, 0) - self._counts

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
        """Other items of the same class, in the form of `of_other_classes`.

        Raises:
            DatasetError: an item is the only one of its class.
        """
        label = self._labels[items]
        others = self._counts[label] - 1
        if bool((others == 0).any()):
            raise DatasetError(
                "a class has one item only: there are no wrong pairs within it", expected="at least two items a class"
            )
        drawn = _index(random, others)
        beyond = drawn >= self._place[items] - self._starts[label]  # the item itself is left out
        return self._order[self._starts[label] + drawn + beyond.long()]


def _index(random: Tensor, count: Tensor) -> Tensor:
    """An index 0..count-1 for each random number in 0..1."""
    return torch.minimum((random * count).long(), count - 1)
