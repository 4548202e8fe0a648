"""What the metrics share that ask a judge: one hearing per output, columns in the data set's order, the bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import ItemState, Pair, Task
from xmbench.judges.loading import load
from xmbench.media.signal import Sound


def heard(pairs: Sequence[Pair], weights: bytes, task: Task) -> NDArray[np.float64]:
    """Probabilities of the words in label order, then of none: (N, K + 1). Several metrics pay for one hearing.

    Raises:
        PrerequisiteError: the judge knows other words.
    """
    judge = load(weights)
    key = f"heard by {judge.sha256}"
    if not all(key in pair.shared for pair in pairs):
        order = _columns(judge.class_names, task.words or task.class_names)
        sounds = [pair.output for pair in pairs if isinstance(pair.output, Sound)]
        found = judge.probabilities([sound.samples for sound in sounds], sounds[0].sample_rate_hz)
        ordered = np.concatenate([found[:, order], found[:, len(order) :]], axis=1).astype(np.float64)
        for pair, row in zip(pairs, ordered, strict=True):
            pair.shared[key] = row
    return np.stack([pair.shared[key] for pair in pairs])


def words(pairs: Sequence[Pair], weights: bytes, task: Task) -> list[ItemState]:
    """1 if the right word was heard else 0, the class heard (K for none), the right word's probability."""
    found = heard(pairs, weights, task)
    classes = found.argmax(axis=1)
    return [
        ItemState("ok", np.array([float(word == pair.label), float(word), row[pair.label]]))
        for pair, word, row in zip(pairs, classes, found, strict=True)
    ]


def second(weights: bytes | None, metric: str) -> bytes:
    """The second judge's weights; raises PrerequisiteError where there is none."""
    if weights is None:
        raise PrerequisiteError(
            f"{metric} needs a second judge",
            todo="xmbench fit-judge DATA --architecture recurrent, or leave the metric out with --metrics",
        )
    return weights


def _columns(known: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Columns of the judge in the data set's label order."""
    if sorted(known) != sorted(wanted):
        raise PrerequisiteError(
            "the judge knows other words than the data set",
            expected=", ".join(wanted),
            where=", ".join(known),
            todo="xmbench fit-judge DATA, then score with --local-judge",
        )
    return [list(known).index(word) for word in wanted]
