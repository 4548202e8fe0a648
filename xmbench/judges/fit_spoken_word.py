"""Trains the networks of a spoken-word judge on synthesised words. Seeded; minutes on two cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from xmbench.judges.augment import Augmenter
from xmbench.judges.spoken_word import SpokenWordJudge, WordNet

NETWORKS = 3
STEPS = 500
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
    steps: int = STEPS,
    networks: int = NETWORKS,
    report: Callable[[str], None] = print,
) -> SpokenWordJudge:
    """Fits a judge.

    Args:
        clips: distinct takes, float32 (T,), trimmed words; trailing zeros are ignored.
        sample_rate_hz: of all clips.
        labels: class of each clip, 0..K-1.
        class_names: the K words.
        weights: how often each clip is drawn, relative to the others.
        seed: of initial weights, batches and augmentation.
        steps: of each network.
        networks: how many vote.
        report: called with a line of progress.

    Returns:
        The judge, with weights as they are stored.
    """
    chances = list(weights) if weights is not None else [1.0] * len(clips)
    trained = []
    for number in range(networks):
        drawn = Augmenter(clips, sample_rate_hz, labels, chances, len(class_names), seed * 1000 + number)

        def tell(step: int, loss: float, number: int = number) -> None:
            report(f"network {number + 1} of {networks}, step {step} of {steps}: loss {loss:.3f}")

        trained.append(_train(drawn, len(class_names), seed * 1000 + number, steps, tell))
    return SpokenWordJudge.of(class_names, trained)


def _train(drawn: Augmenter, classes: int, seed: int, steps: int, tell: Callable[[int, float], None]) -> WordNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = WordNet(classes)
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
    found = WordNet(classes)
    found.load_state_dict(averaged.module.state_dict())
    return found.eval()
