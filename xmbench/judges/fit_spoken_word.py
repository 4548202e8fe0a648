"""Trains the networks of a spoken-word judge on synthesised words. Seeded; ten minutes on one core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from xmbench.judges.augment import Augmenter
from xmbench.judges.features import FRAMES
from xmbench.judges.recurrent_word import RecurrentNet, RecurrentWordJudge
from xmbench.judges.spoken_word import CHANNELS, SpokenWordJudge, WordNet

Architecture = Literal["convolutional", "recurrent"]


@dataclass(frozen=True, slots=True)
class Size:
    """How many networks vote, how long each is trained, and how wide a convolutional one is."""

    networks: int
    steps: int
    channels: tuple[int, int, int, int] = CHANNELS


FEW_WORDS = Size(3, 500)
MANY_WORDS = Size(1, 2200, (16, 32, 64, 96))  # of one size on disk, one wide network tells more words apart than three
RECURRENT = Size(1, 1200)
_MANY = 40
_DROPOUT = 0.2
_DROPOUT_OF_MANY = 0.1  # many words are learned too little rather than too closely
_SECOND_SEED = 500  # the second judge never sees the first one's draws
AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)
_BATCH = 96
_PEAK_LR = 4e-3
_WEIGHT_DECAY = 1e-2
_SMOOTHING = 0.1
_AVERAGE = 0.99
_TOLD_EVERY = 100


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
    report: Callable[[str], None] = print,
) -> SpokenWordJudge | RecurrentWordJudge:
    """Fits a judge.

    Args:
        clips: distinct takes, float32 (T,), trimmed words; trailing zeros are ignored.
        sample_rate_hz: of all clips.
        labels: class of each clip, 0..K-1.
        class_names: the K words.
        weights: how often each clip is drawn, relative to the others.
        seed: of initial weights, batches and augmentation.
        steps: of each network; None for what the number of words asks for.
        networks: how many vote; None for what the number of words asks for. A recurrent judge has one.
        frames: how much of a clip is heard.
        architecture: of the networks; "recurrent" makes the second judge.
        report: called with a line of progress.

    Returns:
        The judge, with weights as they are stored.
    """
    chances = list(weights) if weights is not None else [1.0] * len(clips)
    classes = len(class_names)
    size = RECURRENT if architecture == "recurrent" else MANY_WORDS if classes > _MANY else FEW_WORDS
    dropout = _DROPOUT_OF_MANY if classes > _MANY else _DROPOUT
    count, length = networks or size.networks, steps or size.steps

    def train(make: Callable[[], AnyNetwork], number: int) -> AnyNetwork:
        own = seed * 1000 + number

        def tell(step: int, loss: float) -> None:
            report(f"network {number % _SECOND_SEED + 1} of {count}, step {step} of {length}: loss {loss:.3f}")

        drawn = Augmenter(clips, sample_rate_hz, labels, chances, classes, own, frames)
        return _train(drawn, make, own, length, tell)

    if architecture == "recurrent":
        return RecurrentWordJudge.of(class_names, train(lambda: RecurrentNet(classes, dropout), _SECOND_SEED), frames)
    trained = [train(lambda: WordNet(classes, dropout, size.channels), number) for number in range(count)]
    return SpokenWordJudge.of(class_names, trained, frames)


def _train(
    drawn: Augmenter, make: Callable[[], AnyNetwork], seed: int, steps: int, tell: Callable[[int, float], None]
) -> AnyNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make()
        averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(_AVERAGE), use_buffers=True)  # type: ignore[no-untyped-call]
        optimiser = torch.optim.AdamW(network.parameters(), _PEAK_LR, weight_decay=_WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _PEAK_LR, steps, pct_start=0.15)
        network.train()
        running = 0.0
        for step in range(1, steps + 1):
            bands, labels = drawn.batch(_BATCH)
            loss = F.cross_entropy(network(bands), labels, label_smoothing=_SMOOTHING)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            averaged.update_parameters(network)
            running = 0.95 * running + 0.05 * loss.item() if step > 1 else loss.item()
            if step % _TOLD_EVERY == 0:
                tell(step, running)
    found = make()
    found.load_state_dict(averaged.module.state_dict())
    return found.eval()
