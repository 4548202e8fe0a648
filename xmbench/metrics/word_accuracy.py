"""word-accuracy: share of outputs that the track's spoken-word judge hears as the right word.

The judge's accuracy on real recordings is printed beside every score: no system can be trusted beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import ItemState, Modality, Pair, ScoringContext, Status
from xmbench.judges.spoken_word import SpokenWordJudge
from xmbench.media.signal import Sound
from xmbench.metrics._speech import mean


@dataclass(frozen=True, slots=True)
class WordAccuracy:
    """State of an item: 1 if heard right else 0, the class heard (K for none), the right word's probability."""

    name: str = "word-accuracy"
    version: str = "1"
    modality: Modality = "audio"
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset()
    needs_judge: bool = True
    named_class: int = 1
    citation: str = "the protocol of xmbench: a frozen spoken-word judge with a class for no word"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """What the judge hears in each output.

        Raises:
            PrerequisiteError: no judge, or one that knows other words.
        """
        if context.judge is None:
            raise PrerequisiteError("word-accuracy needs a judge")
        judge = SpokenWordJudge.from_bytes(context.judge)
        order = _columns(judge.class_names, context.task.words or context.task.class_names)
        clips = [pair.output for pair in pairs]
        sounds = [clip for clip in clips if isinstance(clip, Sound)]
        found = judge.probabilities([sound.samples for sound in sounds], sounds[0].sample_rate_hz)
        ordered = np.concatenate([found[:, order], found[:, len(order) :]], axis=1).astype(np.float64)
        heard = ordered.argmax(axis=1)
        return [
            ItemState("ok", np.array([float(heard[i] == pair.label), float(heard[i]), ordered[i, pair.label]]))
            for i, pair in enumerate(pairs)
        ]

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted share of right words."""
        return mean(states, weights)


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


METRIC = WordAccuracy()
