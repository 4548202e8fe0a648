"""How weights change: optimisers of timm and PyTorch, and learning rates as functions of the step."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal

import timm.optim
import timm.scheduler
import torch
from torch import nn

OptimiserName = Literal["rmsprop-tf", "rmsprop-torch", "adam", "adamw", "sgd", "nadamw", "lamb", "lion"]
Schedule = Literal["cosine", "constant", "step", "multistep", "poly", "tanh"]

# Names and fixed settings in timm's registry. timm would give RMSProp of PyTorch the mean of TensorFlow (0.9).
_TIMM: dict[OptimiserName, tuple[str, dict[str, Any]]] = {
    "rmsprop-tf": ("rmsproptf", {"alpha": 0.9, "eps": 1e-10}),
    "rmsprop-torch": ("rmsprop", {"alpha": 0.99}),
    "adam": ("adam", {}),
    "adamw": ("adamw", {}),
    "sgd": ("momentum", {}),
    "nadamw": ("nadamw", {}),
    "lamb": ("lamb", {}),
    "lion": ("lion", {}),
}


@dataclass(frozen=True, slots=True)
class Optimiser:
    """How weights change.

    Attributes:
        name: "rmsprop-tf" has TensorFlow's semantics: mean square starts at one, epsilon 1e-10 inside the
            root, the learning rate folded into the momentum. "rmsprop-torch" has none of these.
        learning_rate: the peak of the schedule.
        weight_decay: of conv and FC weights only. Coupled (adds `weight_decay * W` to the gradient), except in
            "adamw", "nadamw", "lamb" and "lion", which decouple it by definition.
        momentum: of RMSProp and SGD.
        warmup_steps: linear rise from zero.
        schedule: after the warm-up, "cosine" falls to zero at the last step and "constant" stays; the others are
            timm's: "step" and "multistep" multiply by `decay_rate` at `decay_steps`, "poly" and "tanh" fall to zero.
        clip_norm: largest norm of the gradient of this update's weights; None for no clipping.
        betas: of Adam and its relatives; None for the default of the optimiser.
        eps: added to the denominator; None for the default of the optimiser.
        decay_steps: of "step" one number, the steps between decays; of "multistep" the steps of the decays, counted
            from the end of the warm-up.
        decay_rate: factor of "step" and "multistep".
    """

    name: OptimiserName = "rmsprop-tf"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    momentum: float = 0.9
    warmup_steps: int = 0
    schedule: Schedule = "cosine"
    clip_norm: float | None = None
    betas: tuple[float, float] | None = None
    eps: float | None = None
    decay_steps: tuple[int, ...] = ()
    decay_rate: float = 0.1

    def __post_init__(self) -> None:
        """Refuses schedules without the `decay_steps` that they need."""
        wanted = {"step": len(self.decay_steps) == 1, "multistep": len(self.decay_steps) > 0}
        if not wanted.get(self.schedule, True):
            raise ValueError(f"schedule '{self.schedule}' with decay_steps {self.decay_steps}")


def learning_rate(optimiser: Optimiser, step: int, steps: int) -> float:
    """Learning rate of step number `step` of `steps`: linear warm-up, then the schedule."""
    if step < optimiser.warmup_steps:
        return optimiser.learning_rate * (step + 1) / optimiser.warmup_steps
    if optimiser.schedule == "constant":
        return optimiser.learning_rate
    after = step - optimiser.warmup_steps
    length = max(steps - optimiser.warmup_steps, 1)
    if optimiser.schedule == "cosine":
        return optimiser.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (after / length)))
    schedule = _timm_schedule(optimiser, length)
    schedule.step_update(after)
    return float(schedule.optimizer.param_groups[0]["lr"])


@functools.lru_cache(maxsize=16)
def _timm_schedule(optimiser: Optimiser, length: int) -> Any:
    """A schedule of timm on a separate optimiser, queried by the number of the step."""
    own = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=optimiser.learning_rate)
    rate, steps = optimiser.decay_rate, list(optimiser.decay_steps)
    match optimiser.schedule:
        case "step":
            return timm.scheduler.StepLRScheduler(own, steps[0], rate, t_in_epochs=False)
        case "multistep":
            # timm decays one step early: it counts finished epochs.
            return timm.scheduler.MultiStepLRScheduler(own, [step + 1 for step in steps], rate, t_in_epochs=False)
        case "poly":
            return timm.scheduler.PolyLRScheduler(own, length, t_in_epochs=False)
        case _:
            return timm.scheduler.TanhLRScheduler(own, length, t_in_epochs=False)


def make_optimiser(module: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """The optimiser of a module's trainable parameters; weight decay on conv and FC weights only."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    name, options = _TIMM[settings.name]
    options = dict(options)
    if settings.betas is not None:
        options["betas"] = settings.betas
    if settings.eps is not None:
        options["eps"] = settings.eps
    made: torch.optim.Optimizer = timm.optim.create_optimizer_v2(
        groups, name, lr=settings.learning_rate, momentum=settings.momentum, **options
    )
    return made
