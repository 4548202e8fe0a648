"""One step: every update that is due, on one batch, each with its own weights, learning rate and clipping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from xmbench.errors import DocumentError
from xmbench.interfaces import Run
from xmbench.training.device import autocast
from xmbench.training.optimisers import learning_rate
from xmbench.training.phase import Phase, State, batch_positions
from xmbench.training.processes import Processes


class Trainable:
    """Which weights an update changes: those of its module that were trainable when the phase began."""

    def __init__(self, phase: Phase) -> None:
        self.every = [parameter for parameter in phase.module.parameters() if parameter.requires_grad]
        self._own, self._rest = [], []
        for update in phase.updates:
            inside = {id(parameter) for parameter in update.module.parameters()}
            self._own.append([parameter for parameter in self.every if id(parameter) in inside])
            self._rest.append([parameter for parameter in self.every if id(parameter) not in inside])
        self._active = -1

    def only(self, number: int) -> None:
        """Freezes all but the weights of one update; does nothing if they are already."""
        if number != self._active:
            for parameter in self._rest[number]:
                parameter.requires_grad_(False)
            for parameter in self._own[number]:
                parameter.requires_grad_(True)
            self._active = number


@contextmanager
def trainable_of(phase: Phase) -> Iterator[Trainable]:
    """Lets updates freeze weights; on exit all are trainable again."""
    weights = Trainable(phase)
    try:
        yield weights
    finally:
        for parameter in weights.every:
            parameter.requires_grad_(True)


def take_step(phase: Phase, run: Run, state: State, weights: Trainable, processes: Processes) -> dict[str, Tensor]:
    """Takes step number `state.step`; returns its losses by name; "loss" is the sum of what was minimised."""
    positions = batch_positions(phase, run.seed, state.step)
    share = processes.share(positions)
    found: dict[str, Tensor] = {}
    minimised: list[Tensor] = []
    for number, update in enumerate(phase.updates):
        if state.step % update.every:
            continue
        weights.only(number)
        losses = _take_update(phase, run, state, number, share, processes, len(share) / len(positions))
        prefix = f"{update.name}-" if len(phase.updates) > 1 else ""
        found |= {prefix + name: value.detach() for name, value in losses.items()}
        minimised.append(losses["loss"].detach())
    if len(phase.updates) > 1 and minimised:
        found = {"loss": torch.stack(minimised).sum(), **found}
    return found


def _take_update(
    phase: Phase, run: Run, state: State, number: int, share: Tensor, processes: Processes, weight: float
) -> Mapping[str, Tensor]:
    update, optimiser = phase.updates[number], state.optimisers[number]
    rate = learning_rate(update.optimiser, state.step, phase.steps)
    for group in optimiser.param_groups:
        group["lr"] = rate
    with autocast(run.device, phase.precision):
        losses = update.loss(share)
    if "loss" not in losses:
        raise DocumentError(
            f"the losses of {' '.join(filter(None, (phase.name, update.name)))} have none to minimise",
            expected='a value named "loss"',
            todo="change the model: it gives " + (", ".join(losses) or "nothing"),
        )
    optimiser.zero_grad(set_to_none=True)
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    processes.average_gradients(update.module, weight)
    if update.optimiser.clip_norm is not None:
        nn.utils.clip_grad_norm_(update.module.parameters(), update.optimiser.clip_norm)
    optimiser.step()
    return losses
