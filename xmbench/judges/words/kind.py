"""Spoken-word judges as one kind: which weights they read, which data they fit. Networks are imported on use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import FitOption, FittedJudge, Judge, Modality, Task
from xmbench.judges.header import header
from xmbench.media.signal import Media, Sound

if TYPE_CHECKING:
    from xmbench.judges.words.convolutional import SpokenWordJudge
    from xmbench.judges.words.embedding import EmbeddingWordJudge
    from xmbench.judges.words.recurrent import RecurrentWordJudge
    from xmbench.judges.words.voting import VotingWordJudge

    Judged: TypeAlias = SpokenWordJudge | RecurrentWordJudge | VotingWordJudge | EmbeddingWordJudge

_CONVOLUTIONAL = ("xmbench/spoken-word-judge/2", "xmbench/spoken-word-judge/1")
_RECURRENT = ("xmbench/recurrent-word-judge/2", "xmbench/recurrent-word-judge/1")
_VOTING = ("xmbench/voting-word-judge/1",)
_EMBEDDING = ("xmbench/embedding-word-judge/1",)
ARCHITECTURES = ("convolutional", "recurrent", "voting", "embedding")


def word_judge(data: bytes, device: str = "cpu") -> Judged:
    """The judge of a weights file itself: its networks, with clips of one rate as input.

    Raises:
        PrerequisiteError: not the weights of such a judge; no such device.
    """
    from xmbench.judges.words import convolutional, embedding, recurrent, voting

    stored_as = header(data)["format"]
    if stored_as in _EMBEDDING:
        return embedding.EmbeddingWordJudge.from_bytes(data, device)
    if stored_as in _VOTING:
        return voting.VotingWordJudge.from_bytes(data, device)
    if stored_as in _RECURRENT:
        return recurrent.RecurrentWordJudge.from_bytes(data, device)
    return convolutional.SpokenWordJudge.from_bytes(data, device)


class WordJudge:
    """A judge of clips at one sample rate (`xmbench.interfaces.Judge`)."""

    modality: Modality = "audio"

    def __init__(self, judge: Judged, embedding_size: int) -> None:
        self._judge, self.class_names, self.embedding_size = judge, tuple(judge.class_names), embedding_size

    def probabilities(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, K + 1)."""
        return self._judge.probabilities(*_clips(items))

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, 64)."""
        return self._judge.embed(*_clips(items))


@dataclass(frozen=True, slots=True)
class WordJudges:
    """Attributes as in `xmbench.interfaces.JudgeKind` and `FittableKind`."""

    name: str = "words"
    modality: Modality = "audio"
    formats: tuple[str, ...] = (*_CONVOLUTIONAL, *_RECURRENT, *_VOTING, *_EMBEDDING)
    weights: Path | None = Path(__file__).parent / "weights"
    needs: str = "clips of spoken words, one word per class"
    options: tuple[FitOption, ...] = (
        FitOption("voices", "Directory of more training clips <word>_<voice>_*.wav.", Path),
        FitOption("other-words", "Directory of clips of other words to reject, <word>_<voice>_*.wav.", Path),
        FitOption("hold-out", "A voice of these directories to test on instead.", many=True, needs="voices"),
        FitOption(
            "voices-share",
            "Share of the draws of words from that directory (default: 0.8).",
            float,
            between=(0.0, 1.0),
            needs="voices",
        ),
        FitOption(
            "others-share",
            "Share of the draws from the directory of other words (default: 0.3).",
            float,
            between=(0.0, 1.0),
            needs="other-words",
        ),
        FitOption("sounds", "Directory of sounds that are none of the words, <kind>/*.wav, to test on.", Path),
        FitOption("recordings", "Directory of real recordings <class>_*.wav to test on.", Path),
        FitOption(
            "architecture",
            "Of the networks; recurrent and voting make a second judge, embedding hears through a network that was "
            "pretrained on real speech.",
            choices=ARCHITECTURES,
        ),
        FitOption("beside", "Another judge's weights: how often the two agree.", Path),
    )

    def fits(self, task: Task) -> bool:
        """Whether the data set has spoken words."""
        return bool(task.words)

    def load(self, weights: bytes, device: str = "cpu") -> Judge:
        """Reads weights; raises PrerequisiteError."""
        from xmbench.judges.words.judging import EMBEDDING

        return WordJudge(word_judge(weights, device), EMBEDDING)

    def fit(
        self,
        datasets: Sequence[Any],
        *,
        seed: int,
        steps: int | None,
        progress: Callable[[str], None],
        options: Mapping[str, Any],
    ) -> FittedJudge:
        """Trains a judge; see `words.fit.fit_spoken_word_judge`."""
        from xmbench.judges.words.fit import fit_spoken_word_judge

        return fit_spoken_word_judge(datasets, seed=seed, steps=steps, progress=progress, **options)


def _clips(items: Sequence[Media]) -> tuple[list[NDArray[np.float32]], int]:
    sounds = [item for item in items if isinstance(item, Sound)]
    rates = {sound.sample_rate_hz for sound in sounds}
    if len(sounds) != len(items) or len(rates) > 1:
        raise TypeError("a judge of sounds needs sounds of one sample rate")
    return [sound.samples for sound in sounds], rates.pop() if rates else 1
