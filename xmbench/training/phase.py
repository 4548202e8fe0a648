"""What a training is made of: a phase, its optimiser, its batches and learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import timm.optim
import torch
from torch import Tensor, nn

from xmbench.training.device import seed_of

Precision = Literal["float32", "bf16"]
OptimiserName = Literal["rmsprop-tf", "rmsprop-torch", "adam"]
Schedule = Literal["cosine", "constant"]


@dataclass(frozen=True, slots=True)
class Optimiser:
    """How weights change.

    Attributes:
        name: "rmsprop-tf" has TensorFlow's semantics: mean square starts at one, epsilon 1e-10 inside the
            root, the learning rate folded into the momentum. "rmsprop-torch" has none of them.
        learning_rate: its peak.
        weight_decay: coupled: adds `weight_decay * W` to the gradient of conv and FC weights only.
        momentum: of RMSProp.
        warmup_steps: linear rise from zero.
        schedule: after the warm-up, "cosine" falls to zero at the last step.
        clip_norm: largest norm of the whole gradient; None leaves it alone.
    """

    name: OptimiserName = "rmsprop-tf"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    momentum: float = 0.9
    warmup_steps: int = 0
    schedule: Schedule = "cosine"
    clip_norm: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Phase:
    """One training from start to end: a module, a loss, a number of steps.

    Attributes:
        name: of its files and curves.
        module: what is trained; holds the selected weights afterwards.
        items: how many training items there are.
        steps: updates in all.
        batch_size: items per update; a last, smaller batch of an epoch is dropped.
        optimiser: how weights change.
        loss: positions of a batch, int64 (B,), 0..items-1 -> losses by name; "loss" is what is minimised.
        validate: values on held-out items by name; the lowest "selection" is kept. None keeps the last.
        validate_every: steps between validations; there is one at the end in any case.
        precision: "bf16" runs the loss under autocast, on CUDA only.
        validation_ids: ids of the held-out items, kept in the checkpoint.
    """

    name: str
    module: nn.Module
    items: int
    steps: int
    batch_size: int
    optimiser: Optimiser
    loss: Callable[[Tensor], Mapping[str, Tensor]]
    validate: Callable[[], Mapping[str, float]] | None = None
    validate_every: int = 1
    precision: Precision = "float32"
    validation_ids: tuple[str, ...] = ()

    @property
    def batch(self) -> int:
        """Items per update: never more than there are."""
        return min(self.batch_size, self.items)

    @property
    def epoch_steps(self) -> int:
        """Updates per pass over the items."""
        return self.items // self.batch


@dataclass(slots=True)
class State:
    """Where a phase stands. `best` and `best_value` are the selected weights so far."""

    step: int = 0
    best_step: int = 0
    best_value: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    curve: list[tuple[int, str, float]] = field(default_factory=list)


def batch_positions(phase: Phase, seed: int, step: int) -> Tensor:
    """Positions of batch number `step`, int64 (B,): each epoch is a permutation of its own."""
    epoch, index = divmod(step, phase.epoch_steps)
    random = torch.Generator().manual_seed(seed_of(seed, phase.name, "order", epoch))
    order = torch.randperm(phase.items, generator=random)
    return order[index * phase.batch : (index + 1) * phase.batch]


def learning_rate(optimiser: Optimiser, step: int, steps: int) -> float:
    """Learning rate of an update: linear warm-up, then constant or a cosine that ends at zero."""
    if step < optimiser.warmup_steps:
        return optimiser.learning_rate * (step + 1) / optimiser.warmup_steps
    if optimiser.schedule == "constant":
        return optimiser.learning_rate
    progress = (step - optimiser.warmup_steps) / max(steps - optimiser.warmup_steps, 1)
    return optimiser.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))


def make_optimiser(module: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """The optimiser of a module's trainable parameters; weight decay on conv and FC weights only."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = settings.learning_rate
    if settings.name == "adam":
        return torch.optim.Adam(groups, lr=rate)
    if settings.name == "rmsprop-torch":
        return torch.optim.RMSprop(groups, lr=rate, momentum=settings.momentum)
    optimiser: torch.optim.Optimizer = timm.optim.RMSpropTF(
        groups, lr=rate, alpha=0.9, eps=1e-10, momentum=settings.momentum
    )
    return optimiser
