"""Validation items, carved from the training split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmbench.training.device import seed_of

VALIDATION_ITEMS = 5000
EVALUATION_BATCH = 256


def carve_validation(
    ids: Sequence[str], labels: NDArray[np.int64], groups: Sequence[str], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divides training items into those to train on and those that select a model.

    It holds out 5,000 items, or 10 % if that is fewer, class by class, in the order of a seeded hash. Items
    of one group stay together. No class loses its last training item.

    Returns:
        Positions of the training items and of the validation items, both sorted; the latter may be empty.
    """
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])
    left = np.bincount(labels)
    share = min(VALIDATION_ITEMS, len(ids) // 10) / max(len(ids), 1)
    wanted = np.floor(left * share + 0.5).astype(int)
    taken = np.zeros_like(wanted)
    held_out: list[NDArray[np.int64]] = []
    for group in sorted(members, key=lambda group: seed_of(seed, "validation", min(ids[i] for i in group))):
        if (taken >= wanted).all():
            break
        counts = np.bincount(labels[group], minlength=len(left))
        short = (counts > 0) & (taken < wanted)
        # A group may exceed the number wanted, but only while every class in it still has too few.
        if short[counts > 0].all() and ((left - counts)[counts > 0] > 0).all():
            held_out.append(group)
            taken += counts
            left = left - counts
    chosen = np.sort(np.concatenate(held_out)) if held_out else np.empty(0, dtype=np.int64)
    return np.setdiff1d(np.arange(len(ids)), chosen), chosen


def parts(rows: Tensor) -> tuple[Tensor, ...]:
    """Splits rows (N,) into parts that fit into memory when no gradient is kept."""
    return torch.split(rows, EVALUATION_BATCH)


def mean_losses(losses: Callable[[Tensor], Mapping[str, Tensor]], rows: Tensor) -> dict[str, float]:
    """Means over all rows, int64 (N,), of losses by name that are means over their batch."""
    total: dict[str, float] = {}
    for part in parts(rows):
        for name, value in losses(part).items():
            total[name] = total.get(name, 0.0) + float(value) * len(part) / len(rows)
    return total
