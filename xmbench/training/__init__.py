"""The one seeded training loop, and what a model needs to use it."""

from __future__ import annotations

from xmbench.training.device import describe_device, resolve_device, seed_everything
from xmbench.training.loop import train
from xmbench.training.phase import Optimiser, OptimiserName, Phase, Precision, Schedule
from xmbench.training.validation import carve_validation

__all__ = [
    "Optimiser",
    "OptimiserName",
    "Phase",
    "Precision",
    "Schedule",
    "carve_validation",
    "describe_device",
    "resolve_device",
    "seed_everything",
    "train",
]
