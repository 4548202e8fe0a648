"""The seeded training loop, and what a model needs to use it."""

from __future__ import annotations

from xmbench.training.device import (
    Precision,
    autocast,
    computing,
    describe_device,
    place,
    processor_threads,
    require_bf16,
    resolve_device,
    seed_everything,
)
from xmbench.training.evolution import Evolution, Moment, moments_of, write_evolution
from xmbench.training.loop import train
from xmbench.training.optimisers import Optimiser, OptimiserName, Schedule
from xmbench.training.phase import Phase, Update, plan_steps
from xmbench.training.prepared import prepared
from xmbench.training.tensors import Tensors
from xmbench.training.validation import carve_validation, mean_losses, parts

__all__ = [
    "Evolution",
    "Moment",
    "Optimiser",
    "OptimiserName",
    "Phase",
    "Precision",
    "Schedule",
    "Tensors",
    "Update",
    "autocast",
    "carve_validation",
    "computing",
    "describe_device",
    "mean_losses",
    "moments_of",
    "parts",
    "place",
    "plan_steps",
    "prepared",
    "processor_threads",
    "require_bf16",
    "resolve_device",
    "seed_everything",
    "train",
    "write_evolution",
]
