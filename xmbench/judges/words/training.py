"""Trains the networks of a spoken-word judge on synthesised words. Seeded; ten minutes on one core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.judges.learning import AnyNetwork, Schedule, learned
from xmbench.judges.words import training_on_embeddings
from xmbench.judges.words.augment import Augmenter
from xmbench.judges.words.convolutional import CHANNELS, SpokenWordJudge, WordNet
from xmbench.judges.words.embedding import EmbeddingWordJudge
from xmbench.judges.words.features import FRAMES
from xmbench.judges.words.recurrent import RecurrentNet, RecurrentWordJudge
from xmbench.judges.words.voting import VotingWordJudge

Architecture = Literal["convolutional", "recurrent", "voting", "embedding"]
Judge = SpokenWordJudge | RecurrentWordJudge | VotingWordJudge | EmbeddingWordJudge


@dataclass(frozen=True, slots=True)
class Size:
    """How many networks vote, how long each is trained, how wide it is, and whether in bfloat16."""

    networks: int
    steps: int
    channels: tuple[int, int, int, int] = (16, 32, 64, 96)
    hidden: tuple[int, int] = (96, 64)
    half: bool = True
    dropout: float = 0.1


# At the same size and training time, three narrow networks transfer better to real voices, and one wide network
# distinguishes more words.
SHORT_WORDS, LONG_WORDS = Size(3, 1500, CHANNELS, dropout=0.2), Size(1, 4500)
RECURRENT_SHORT, RECURRENT_LONG = Size(1, 2500), Size(1, 4500)
_SECOND_SEED = 500  # the second judge never gets the first one's draws
_BATCH = 128
_PEAK_LR = 4e-3


def fit(
    clips: Sequence[NDArray[np.float32]],
    sample_rate_hz: int,
    labels: Sequence[int],
    class_names: Sequence[str],
    *,
    weights: Sequence[float] | None = None,
    seed: int = 0,
    steps: int | None = None,
    networks: int | None = None,
    frames: int = FRAMES,
    architecture: Architecture = "convolutional",
    progress: Callable[[str], None] = print,
) -> Judge:
    """Fits a judge.

    Args:
        clips: distinct takes, float32 (T,), trimmed words; trailing zeros are ignored.
        sample_rate_hz: of all clips.
        labels: class of each clip, 0..K-1; K for another word, K + 1 for a sound that is no word.
        class_names: the K words.
        weights: how often each clip is drawn, relative to the others.
        seed: of initial weights, batches and augmentation.
        steps: of each network; None for the default of the words' length.
        networks: how many vote; None for the default of the words' length. A recurrent judge has one, and a voting
            one has a recurrent network more.
        frames: of a clip that the networks get.
        architecture: of the networks; "recurrent" and "voting" make a second judge.
        progress: called with a line of progress.

    Returns:
        The judge, with weights as they are stored.
    """
    chances = list(weights) if weights is not None else [1.0] * len(clips)
    classes = len(class_names)
    if architecture == "embedding":
        return training_on_embeddings.fit(
            clips, sample_rate_hz, labels, class_names, chances, frames, seed, steps, networks, progress
        )

    def train(make: Callable[[], AnyNetwork], number: int, size: Size) -> AnyNetwork:
        own, length = seed * 1000 + number, steps or size.steps

        def log(step: int, loss: float) -> None:
            progress(f"network {number % _SECOND_SEED + 1}, step {step} of {length}: loss {loss:.3f}")

        drawn = Augmenter(clips, sample_rate_hz, labels, chances, classes, own, frames)
        schedule = Schedule(length, _PEAK_LR, half=size.half, channels_last=size.half)
        return learned(make, lambda: drawn.batch(_BATCH), schedule, own, log)

    def recurrent() -> RecurrentNet:
        size = RECURRENT_LONG if frames > FRAMES else RECURRENT_SHORT
        return train(lambda: RecurrentNet(classes, size.dropout, size.hidden), _SECOND_SEED, size)

    def convolutional() -> list[WordNet]:
        size = LONG_WORDS if frames > FRAMES else SHORT_WORDS
        numbers = range(networks or size.networks)
        return [train(lambda: WordNet(classes, size.dropout, size.channels), number, size) for number in numbers]

    if architecture == "recurrent":
        return RecurrentWordJudge.of(class_names, recurrent(), frames)
    if architecture == "voting":
        return VotingWordJudge.of(class_names, convolutional(), [recurrent()], frames)
    return SpokenWordJudge.of(class_names, convolutional(), frames)
