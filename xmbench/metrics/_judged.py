"""What metrics with a judge share: its outputs for each pair, computed once for all of them.

The judge is the one that the track names (`judges.loading`); this module does not depend on what it sees.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import ROLES, ItemState, Judge, JudgeRole, JudgeWeights, Pair, ScoringContext, Task
from xmbench.judges.class_names import places
from xmbench.judges.loading import load
from xmbench.judges.reference_embeddings import embedded_references

Matrix = NDArray[np.float64]


def judge_weights(context: ScoringContext, role: JudgeRole, metric: str) -> JudgeWeights:
    """The track's judge of a role; raises PrerequisiteError if there is none."""
    if role not in context.judges:
        raise PrerequisiteError(
            f"{metric} needs a {'' if role == 'first' else f'{role} '}judge",
            todo="xmbench fit-judge DATA (with a second judge if its kind has one), or leave it out with --metrics",
        )
    return context.judges[role]


def columns(judge: Judge, wanted: Sequence[str], names: Sequence[str]) -> list[int]:
    """The judge's columns in the order of the data set's labels; its classes are the words or the class names.

    The judge may know more classes.

    Raises:
        PrerequisiteError: it does not know all of them.
    """
    for order in (wanted, names):
        found = places(judge.class_names, order)
        if order and found is not None:
            return found
    raise PrerequisiteError(
        "the judge has other classes than the data set",
        where=", ".join(judge.class_names),
        expected=", ".join(names),
        todo="xmbench fit-judge DATA, then score with --local-judge",
    )


def judged(pairs: Sequence[Pair], given: JudgeWeights, task: Task) -> tuple[Matrix, list[int]]:
    """All that the judge says, once for several metrics, and where the classes are in it in label order.

    Returns:
        Probabilities (N, C + 1) of the C >= K classes that the judge knows, then of none; K columns.

    Raises:
        PrerequisiteError: the judge has other classes.
    """
    judge = load(given.weights, given.kind, given.device)
    order = columns(judge, task.words, task.class_names)
    key = f"judged by {given.sha256} on {given.device}"
    if not all(key in pair.shared for pair in pairs):
        found = judge.probabilities([pair.output for pair in pairs]).astype(np.float64)
        for pair, row in zip(pairs, found, strict=True):
            pair.shared[key] = row
    return np.stack([pair.shared[key] for pair in pairs]), order


def named(pairs: Sequence[Pair], given: JudgeWeights, task: Task) -> Matrix:
    """Probabilities of the classes in label order, then of none of them: (N, K + 1), rows sum to 1.

    What the judge gives to classes that the data set does not have is none of its classes.

    Raises:
        PrerequisiteError: the judge has other classes.
    """
    found, order = judged(pairs, given, task)
    others = np.setdiff1d(np.arange(found.shape[1]), order)
    return np.concatenate([found[:, order], found[:, others].sum(axis=1, keepdims=True)], axis=1)


def both_named(pairs: Sequence[Pair], context: ScoringContext, metric: str) -> list[tuple[int, int]]:
    """The classes that the first and the second judge name, K for none.

    Raises:
        PrerequisiteError: one of the judges is missing, or has other classes.
    """
    one, other = (named(pairs, judge_weights(context, role, metric), context.task).argmax(axis=1) for role in ROLES)
    return [(int(left), int(right)) for left, right in zip(one, other, strict=True)]


def verdicts(pairs: Sequence[Pair], given: JudgeWeights, task: Task) -> list[ItemState]:
    """1 if the right class was named else 0, the class named (K for none), the right class's probability.

    Raises:
        PrerequisiteError: the judge has other classes.
    """
    found = named(pairs, given, task)
    return [
        ItemState("ok", np.array([float(seen == pair.label), float(seen), row[pair.label]]))
        for pair, seen, row in zip(pairs, found.argmax(axis=1), found, strict=True)
    ]


def embedded(pairs: Sequence[Pair], context: ScoringContext, metric: str) -> list[ItemState]:
    """State of each pair, (2 D + 1,): the first judge's embeddings of output and reference, and the label.

    Raises:
        PrerequisiteError: there is no judge.
    """
    given = judge_weights(context, "first", metric)
    key = f"embedded by {given.sha256} on {given.device}"
    waiting = [pair for pair in pairs if key not in pair.shared]
    if waiting:
        judge = load(given.weights, given.kind, given.device)
        made = judge.embed([pair.output for pair in waiting])
        items = [pair.reference for pair in waiting]
        known = (
            judge.embed(items)
            if context.kept is None
            else embedded_references(items, judge, context.kept, given.sha256, given.device)
        )
        for pair, output, reference in zip(waiting, made, known, strict=True):
            pair.shared[key] = np.concatenate([output, reference, [pair.label]]).astype(np.float64)
    return [ItemState("ok", pair.shared[key]) for pair in pairs]


def outputs(states: Matrix) -> Matrix:
    """Embedded pairs (N, 2 D + 1), or without the label (N, 2 D) -> the outputs' embeddings (N, D)."""
    return states[:, : states.shape[1] // 2]


def references(states: Matrix) -> Matrix:
    """Embedded pairs (N, 2 D + 1), or without the label (N, 2 D) -> the references' embeddings (N, D)."""
    size = states.shape[1] // 2
    return states[:, size : 2 * size]
