"""Trains the small networks of a judge that hears through the speech embedding. Seeded; minutes on one core.

Examples are drawn and embedded once; noise on the embeddings makes each of them new in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from xmbench.judges.words.embedding import EmbeddingWordJudge, WindowNet, windows_for
from xmbench.judges.words.features import FRAMES
from xmbench.judges.words.speech_embedding import RATE_HZ, log_mel, speech_embedding
from xmbench.judges.words.waveforms import Waveforms
from xmbench.media.audio import resample

DRAWS_SHORT, DRAWS_LONG = 15_360, 15_360
STEPS = 1000
NETWORKS_SHORT, NETWORKS_LONG = 3, 2  # long words have more windows
_BATCH, _DRAWN_AT_ONCE = 128, 256
_EMBEDDED_AT_ONCE = 32
_PEAK_LR = 1e-3
_WEIGHT_DECAY = 0.05
_SMOOTHING = 0.1
_LOG_EVERY = 250


def fit(
    clips: Sequence[NDArray[np.float32]],
    sample_rate_hz: int,
    labels: Sequence[int],
    class_names: Sequence[str],
    weights: Sequence[float],
    frames: int,
    seed: int,
    steps: int | None,
    networks: int | None,
    progress: Callable[[str], None],
) -> EmbeddingWordJudge:
    """Fits a judge; arguments as of `training.fit`. A training of few steps draws fewer examples.

    Returns:
        The judge, with weights as they are stored.
    """
    long, length = frames > FRAMES, steps or STEPS
    count = networks or (NETWORKS_LONG if long else NETWORKS_SHORT)
    draws = min(DRAWS_LONG if long else DRAWS_SHORT, length * _BATCH)
    wide = [resample(clip, sample_rate_hz, RATE_HZ) for clip in clips]
    drawn = Waveforms(wide, labels, weights, len(class_names), windows_for(frames), seed)
    seen, wanted = embedded(drawn, draws, progress)
    trained = []
    for number in range(count):

        def log(step: int, loss: float, number: int = number) -> None:
            progress(f"network {number + 1} of {count}, step {step} of {length}: loss {loss:.3f}")

        trained.append(_train(len(class_names), seen, wanted, seed * 1000 + number, length, log))
    return EmbeddingWordJudge.of(class_names, trained, frames)


def embedded(drawn: Waveforms, count: int, progress: Callable[[str], None]) -> tuple[Tensor, Tensor]:
    """At least `count` examples: embeddings (N, W, 96) and labels (N,)."""
    network = speech_embedding()
    seen: list[Tensor] = []
    labels: list[Tensor] = []
    with torch.no_grad():
        while len(labels) * _DRAWN_AT_ONCE < count:
            examples, found = drawn.draw(_DRAWN_AT_ONCE)
            seen += [network(log_mel(part)) for part in torch.split(torch.from_numpy(examples), _EMBEDDED_AT_ONCE)]
            labels.append(torch.from_numpy(found))
            if len(labels) % 16 == 0:
                progress(f"{len(labels) * _DRAWN_AT_ONCE} of {count} examples")
    return torch.cat(seen), torch.cat(labels)


def _train(
    classes: int, seen: Tensor, labels: Tensor, seed: int, steps: int, log: Callable[[int, float], None]
) -> WindowNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = WindowNet(classes, seen.shape[1])
        network.mean.copy_(seen.mean((0, 1)))
        network.deviation.copy_(seen.std((0, 1)).clamp_min(1e-3))
        optimiser = torch.optim.AdamW(network.parameters(), _PEAK_LR, weight_decay=_WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        network.train()
        running = 0.0
        for step in range(1, steps + 1):
            chosen = torch.randint(len(seen), (_BATCH,))
            loss = F.cross_entropy(network(seen[chosen]), labels[chosen], label_smoothing=_SMOOTHING)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            running = 0.95 * running + 0.05 * loss.item() if step > 1 else loss.item()
            if step % _LOG_EVERY == 0:
                log(step, running)
    return network.eval()
