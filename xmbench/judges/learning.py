"""The training loop of the judges' networks: AdamW, one cycle of the learning rate, a moving average of the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)
_RUNNING = 0.95  # of the loss that is shown


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a network is trained.

    Attributes:
        steps: batches.
        peak_lr: highest learning rate, after 15 % of the steps.
        weight_decay: of AdamW.
        smoothing: of the labels, 0..1.
        average: share of the averaged weights that stays at every step; a short training forgets sooner.
        half: whether it computes in bfloat16.
        channels_last: memory layout of the images; faster for some networks.
        log_every: steps.
    """

    steps: int
    peak_lr: float
    weight_decay: float = 1e-2
    smoothing: float = 0.1
    average: float = 0.998
    half: bool = False
    channels_last: bool = False
    log_every: int = 250


def learned(
    make: Callable[[], AnyNetwork],
    batch: Callable[[], tuple[Tensor, Tensor]],
    schedule: Schedule,
    seed: int,
    log: Callable[[int, float], None],
) -> AnyNetwork:
    """Trains a network; the same for the same seed and batches.

    Args:
        make: an untrained network.
        batch: inputs and labels (B,) of the next step.
        schedule: how.
        seed: of the first weights and of dropout.
        log: called with a step and the running loss.

    Returns:
        Another network with the averaged weights, in evaluation mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make()
        average = get_ema_multi_avg_fn(min(schedule.average, 1 - 10 / (schedule.steps + 10)))  # type: ignore[no-untyped-call]
        averaged = AveragedModel(network, multi_avg_fn=average, use_buffers=True)
        optimiser = torch.optim.AdamW(network.parameters(), schedule.peak_lr, weight_decay=schedule.weight_decay)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.peak_lr, max(schedule.steps, 2), pct_start=0.15)
        network.train()
        if schedule.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        running = 0.0
        for step in range(1, schedule.steps + 1):
            inputs, labels = batch()
            with torch.autocast("cpu", torch.bfloat16, enabled=schedule.half):
                logits = network(inputs)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=schedule.smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            cycle.step()
            averaged.update_parameters(network)
            running = _RUNNING * running + (1 - _RUNNING) * loss.item() if step > 1 else loss.item()
            if step % schedule.log_every == 0:
                log(step, running)
    found = make()
    found.load_state_dict(averaged.module.state_dict())
    return found.eval()
