"""top-3-accuracy: share of outputs for which the right class is among the judge's three best.

All that the judge knows takes part, also classes that the data set does not have, and none of them. Equal probabilities
count against the right class: a judge that cannot tell gives no credit. Of C equally likely classes and none, three are
3 / (C + 1): read it with that, and with the row of a random item.

Mean over the items of [place of the class <= 3], the place 1 + the number of other columns whose probability is not
smaller. In 0..1, higher is better; a failed item counts 0. A state is (right, place):

    >>> import numpy as np
    >>> METRIC.reduce(np.array([[1, 1], [1, 3], [0, 4], [1, 2]]), np.ones((1, 4)))
    array([0.75])
    >>> place(np.array([[0.1, 0.2, 0.2, 0.5]]), np.array([1]))
    array([3])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, JudgeRole, Modality, Pair, ScoringContext, Status
from xmbench.metrics._judged import judge_weights, judged
from xmbench.metrics._mean import mean

BEST = 3


def place(probabilities: NDArray[np.float64], own: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of one column in each row of (N, C + 1), from 1; equal columns stand before it."""
    right = np.take_along_axis(probabilities, own[:, None], axis=1)
    return np.asarray((probabilities >= right).sum(axis=1), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class TopAccuracy:
    """State of an item: 1 if the right class is among the three best else 0, its place from 1."""

    name: str = "top-3-accuracy"
    version: str = "1"
    modality: Modality | Literal["any"] = "any"
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset()
    judges: tuple[JudgeRole, ...] = ("first",)
    smallest_difference: float = 0.01  # one item in a hundred
    citation: str = "Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015, section 4.1 (top 5)"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """The place of the right class in what the judge says.

        Raises:
            PrerequisiteError: there is no judge, or one with other classes.
        """
        found, order = judged(pairs, judge_weights(context, "first", self.name), context.task)
        places = place(found, np.array([order[pair.label] for pair in pairs], dtype=np.int64))
        return [ItemState("ok", np.array([float(own <= BEST), float(own)])) for own in places]

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted share of right classes among the three best."""
        return mean(states, weights)


METRIC = TopAccuracy()
