"""What metrics with a judge share: what it sees of each pair, computed once for all of them.

The judge is whichever the track names (`judges.loading`); nothing here knows what it takes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import ItemState, Pair, ScoringContext
from xmbench.judges.loading import Judge, load

SIZE = 64  # of an embedding
OUTPUT, REFERENCE, LABEL = slice(0, SIZE), slice(SIZE, 2 * SIZE), 2 * SIZE  # columns of an embedded pair
_KEY = "embedded"


def judge_of(context: ScoringContext, metric: str) -> Judge:
    """The track's judge; raises PrerequisiteError where there is none."""
    if context.judge is None:
        raise PrerequisiteError(f"{metric} needs a judge")
    return load(context.judge)


def columns(judge: Judge, wanted: Sequence[str], names: Sequence[str]) -> list[int]:
    """The judge's columns in the data set's label order; it may know the classes by their words or their names.

    Raises:
        PrerequisiteError: it knows other classes.
    """
    known = list(judge.class_names)
    for order in (wanted, names):
        if sorted(known) == sorted(order):
            return [known.index(name) for name in order]
    raise PrerequisiteError(
        "the judge knows other classes than the data set", where=", ".join(known), expected=", ".join(names),
        todo="xmbench fit-judge DATA, then score with --local-judge",
    )  # fmt: skip


def embedded(pairs: Sequence[Pair], context: ScoringContext, metric: str) -> list[ItemState]:
    """State of each pair, (129,): the embeddings of output (64) and reference (64), and the label."""
    judge = judge_of(context, metric)
    waiting = [pair for pair in pairs if _KEY not in pair.shared]
    if waiting:
        outputs = judge.embed([pair.output for pair in waiting])
        references = judge.embed([pair.reference for pair in waiting])
        for pair, output, reference in zip(waiting, outputs, references, strict=True):
            pair.shared[_KEY] = np.concatenate([output, reference, [pair.label]]).astype(np.float64)
    return [ItemState("ok", pair.shared[_KEY]) for pair in pairs]


def mean(states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted means of the first state column: (N, D), (B, N) -> (B,)."""
    return np.asarray(weights @ states[:, 0] / weights.sum(axis=1))
