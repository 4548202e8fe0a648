"""The parts of a training: a phase, its updates, its batches."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from xmbench.training.device import Precision, seed_of
from xmbench.training.optimisers import Optimiser


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """One optimiser's share of a step: which weights change, by which loss.

    Attributes:
        module: whose weights change, a part of the phase's module; all others are frozen meanwhile (a discriminator
            while its generator learns).
        optimiser: how they change.
        loss: positions of a batch, int64 (B,), 0..items-1 -> losses by name; "loss" is what is minimised. With
            several processes each one gets its share of the batch; a loss is a mean over it.
        name: prefix of the names of its losses, where a phase has several updates.
        every: steps between two of these updates.
    """

    module: nn.Module
    optimiser: Optimiser
    loss: Callable[[Tensor], Mapping[str, Tensor]]
    name: str = ""
    every: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Phase:
    """One training: a module, its updates, a number of steps.

    Attributes:
        name: of its files and curves.
        module: what is trained; holds the selected weights afterwards.
        items: how many training items there are.
        steps: number of steps; a step takes every update that is due, on one batch.
        batch_size: items per step, of all processes together; a smaller last batch of an epoch is dropped.
        updates: the updates of one step, in order; one for a plain loss, two for an adversarial pair.
        validate: values on held-out items by name, all finite; the lowest "selection" is kept. None keeps the last
            weights.
        validate_every: steps between validations; there is always one at the end.
        precision: "bf16" runs losses and validation under autocast.
        validation_ids: ids of the held-out items, kept in the checkpoint.
        average: decay of a running mean of the weights, which is then what is validated and kept; 0 for none.
        snapshot_every: steps between weights that are kept on disk, for a curve over training; 0 for none.
        ahead: called with the positions of the next batch (this process's share) while the device works on
            this one, so that it can be read in the meantime (`Tensors.ahead`).
        patience: validations without an improvement after which the phase ends early; 0 for never. The schedule of
            the learning rate is that of all planned steps.
        batch_setting: name of the setting that states the batch size, for the message when memory runs out.
    """

    name: str
    module: nn.Module
    items: int
    steps: int
    batch_size: int
    updates: tuple[Update, ...]
    validate: Callable[[], Mapping[str, float]] | None = None
    validate_every: int = 1
    precision: Precision = "float32"
    validation_ids: tuple[str, ...] = ()
    average: float = 0.0
    snapshot_every: int = 0
    ahead: Callable[[Tensor], None] | None = None
    patience: int = 0
    batch_setting: str = ""

    def __post_init__(self) -> None:
        """Refuses updates that a checkpoint would not keep, or whose curves would have the same name."""
        if not isinstance(self.updates, tuple):
            raise TypeError("Phase takes its updates as a tuple")
        known = {id(parameter) for parameter in self.module.parameters()}
        for update in self.updates:
            if not known.issuperset(id(parameter) for parameter in update.module.parameters()):
                raise ValueError(f"{self.name}: the update '{update.name}' has weights outside the phase's module")
            if update.every < 1:
                raise ValueError(
                    f"{self.name}: the update '{update.name}' has every = {update.every}, expected 1 or more"
                )
        names = [update.name for update in self.updates]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"{self.name}: updates {names}; there must be at least one, and names must differ")
        if not 0.0 <= self.average < 1.0:
            raise ValueError(f"{self.name}: average {self.average} is not a decay, 0 <= average < 1")
        if self.patience < 0:
            raise ValueError(f"{self.name}: patience {self.patience}, expected 0 or more")

    @property
    def batch(self) -> int:
        """Items per step: at most the number of items."""
        return min(self.batch_size, self.items)

    @property
    def epoch_steps(self) -> int:
        """Steps per pass over the items."""
        return self.items // self.batch


def plan_steps(items: int, batch_size: int, epochs: int, least: int = 1) -> tuple[int, int, int]:
    """Items per step, steps per epoch, and number of steps: those of all epochs, or `least` if that is more."""
    batch = min(batch_size, items)
    epoch = items // batch
    return batch, epoch, max(epochs * epoch, least)


@dataclass(slots=True)
class State:
    """The state of a phase.

    Attributes:
        optimisers: one per update.
        step: steps done.
        best: the selected weights so far, on the host; `best_step` and `best_value` belong to them.
        waited: validations since then.
        average: running mean of the weights, on the device; empty if the phase has none.
    """

    optimisers: list[torch.optim.Optimizer] = field(default_factory=list)
    step: int = 0
    best_step: int = 0
    best_value: float = math.inf
    waited: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)


def batch_positions(phase: Phase, seed: int, step: int) -> Tensor:
    """Positions of batch number `step`, int64 (B,): each epoch is another permutation."""
    epoch, index = divmod(step, phase.epoch_steps)
    order = _epoch_order(seed, phase.name, epoch, phase.items)
    return order[index * phase.batch : (index + 1) * phase.batch]


@functools.lru_cache(maxsize=2)  # this epoch and, at its end, the next: a million items take 10 ms to shuffle
def _epoch_order(seed: int, phase: str, epoch: int, items: int) -> Tensor:
    random = torch.Generator().manual_seed(seed_of(seed, phase, "order", epoch))
    return torch.randperm(items, generator=random)
