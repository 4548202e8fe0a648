"""Published recognisers as one kind of judge. The network is imported on use.

None ships, and none is fitted: `recipes/judges/recogniser.py` makes one of a published checkpoint and a data set's
words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import Judge, Modality, Task
from xmbench.media.signal import Media, Sound

if TYPE_CHECKING:
    from xmbench.judges.asr.network import RecogniserJudge


class WordRecogniser:
    """A judge of sounds (`xmbench.interfaces.Judge`)."""

    modality: Modality = "audio"

    def __init__(self, judge: RecogniserJudge) -> None:
        self._judge, self.class_names, self.embedding_size = judge, judge.class_names, judge.embedding_size

    def probabilities(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, K + 1)."""
        return self._judge.probabilities(*_clips(items))

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, D)."""
        return self._judge.embed(*_clips(items))


@dataclass(frozen=True, slots=True)
class RecogniserJudges:
    """Attributes as in `xmbench.interfaces.JudgeKind`."""

    name: str = "asr"
    modality: Modality = "audio"
    formats: tuple[str, ...] = ("xmbench/recogniser-judge/1",)
    weights: Path | None = None
    needs: str = "clips of spoken words, one word per class, in the letters of the recogniser"

    def fits(self, task: Task) -> bool:
        """Whether the data set has spoken words."""
        return bool(task.words)

    def load(self, weights: bytes, device: str = "cpu") -> Judge:
        """Reads weights; raises PrerequisiteError."""
        from xmbench.judges.asr.network import RecogniserJudge

        return WordRecogniser(RecogniserJudge.from_bytes(weights, device))


def _clips(items: Sequence[Media]) -> tuple[list[NDArray[np.float32]], int]:
    sounds = [item for item in items if isinstance(item, Sound)]
    rates = {sound.sample_rate_hz for sound in sounds}
    if len(sounds) != len(items) or len(rates) > 1:
        raise TypeError("a judge of sounds needs sounds of one sample rate")
    return [sound.samples for sound in sounds], rates.pop() if rates else 1
