"""A running mean of the weights, which often generates better than the last weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from xmbench.training.phase import Phase, State


@torch.no_grad()
def move_average(phase: Phase, state: State) -> None:
    """Moves the running mean one step; the first steps forget faster, because it starts at untrained weights."""
    if not phase.average:
        return
    learned = dict(phase.module.named_parameters())
    if not state.average:
        state.average = {name: parameter.detach().clone() for name, parameter in learned.items()}
    decay = min(phase.average, (1 + state.step) / (10 + state.step))
    own = [parameter.detach() for parameter in learned.values()]
    get_ema_multi_avg_fn(decay)([state.average[name] for name in learned], own, None)  # type: ignore[no-untyped-call]


@contextmanager
def averaged(phase: Phase, state: State) -> Iterator[None]:
    """The module has its averaged weights inside this context; buffers (statistics of norms) are always the latest."""
    if not state.average:
        yield
        return
    learned = dict(phase.module.named_parameters())
    own = {name: parameter.detach().clone() for name, parameter in learned.items()}
    _copy(learned, state.average)
    try:
        yield
    finally:
        _copy(learned, own)


@torch.no_grad()
def _copy(learned: dict[str, torch.nn.Parameter], values: dict[str, torch.Tensor]) -> None:
    for name, parameter in learned.items():
        parameter.copy_(values[name])
