"""What metrics with a judge share: what it sees of each pair, computed once for all of them.

The judge is whichever the track names (`judges.loading`); nothing here knows what it takes.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import ItemState, Modality, Pair, ScoringContext, Status, Task
from xmbench.judges.loading import Judge, load
from xmbench.metrics._mean import mean

SIZE = 64  # of an embedding
OUTPUT, REFERENCE, LABEL = slice(0, SIZE), slice(SIZE, 2 * SIZE), 2 * SIZE  # columns of an embedded pair
_KEY = "embedded"


def judge_of(context: ScoringContext, metric: str) -> Judge:
    """The track's judge; raises PrerequisiteError where there is none."""
    return load(present(context.judge, metric))


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
        "the judge knows other classes than the data set",
        where=", ".join(known),
        expected=", ".join(names),
        todo="xmbench fit-judge DATA, then score with --local-judge",
    )


def named(pairs: Sequence[Pair], weights: bytes, task: Task) -> NDArray[np.float64]:
    """Probabilities of the classes in label order, then of none: (N, K + 1). Several metrics pay for one verdict.

    Raises:
        PrerequisiteError: the judge knows other classes.
    """
    key = f"named by {_digest(weights)}"
    if not all(key in pair.shared for pair in pairs):
        judge = load(weights)
        order = columns(judge, task.words, task.class_names)
        found = judge.probabilities([pair.output for pair in pairs])
        ordered = np.concatenate([found[:, order], found[:, len(order) :]], axis=1).astype(np.float64)
        for pair, row in zip(pairs, ordered, strict=True):
            pair.shared[key] = row
    return np.stack([pair.shared[key] for pair in pairs])


def verdicts(pairs: Sequence[Pair], weights: bytes | None, task: Task, metric: str) -> list[ItemState]:
    """1 if the right class was named else 0, the class named (K for none), the right class's probability.

    Raises:
        PrerequisiteError: no judge, or one that knows other classes.
    """
    found = named(pairs, present(weights, metric), task)
    return [
        ItemState("ok", np.array([float(seen == pair.label), float(seen), row[pair.label]]))
        for pair, seen, row in zip(pairs, found.argmax(axis=1), found, strict=True)
    ]


def present(weights: bytes | None, metric: str) -> bytes:
    """A judge's weights; raises PrerequisiteError where there are none."""
    if weights is None:
        kind = "a second judge" if metric.endswith(("second", "agreement")) else "a judge"
        raise PrerequisiteError(
            f"{metric} needs {kind}",
            todo="xmbench fit-judge DATA (--architecture recurrent for a second one), or leave it out with --metrics",
        )
    return weights


@functools.lru_cache(maxsize=4)
def _digest(weights: bytes) -> str:
    return hashlib.sha256(weights).hexdigest()


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


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of outputs in which a judge of the track names the right class.

    State of an item: 1 if named right else 0, the class named (K for none), the right class's probability. Attributes
    as in `xmbench.interfaces.Metric` and `Naming`; `second` asks the track's second judge.
    """

    name: str
    version: str
    modality: Modality
    citation: str
    second: bool = False
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset()
    needs_judge: bool = True
    named_class: int = 1

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """What the judge finds in each output.

        Raises:
            PrerequisiteError: no such judge, or one that knows other classes.
        """
        weights = context.second_judge if self.second else context.judge
        return verdicts(pairs, weights, context.task, self.name)

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted share of right classes."""
        return mean(states, weights)
