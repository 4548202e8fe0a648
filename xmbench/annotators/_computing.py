"""Items through a network in batches of one size, so that a row depends only on its own item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmbench.errors import PrerequisiteError
from xmbench.media import image
from xmbench.media.signal import Picture

BATCH = 8


def on_device(device: str) -> torch.device:
    """The device; raises PrerequisiteError where torch has none of that name."""
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a build of torch without CUDA
        raise PrerequisiteError(
            f"annotators cannot compute on {device!r}", expected="cpu, or cuda with a GPU"
        ) from error
    return torch.device(device)


def in_batches(
    items: Sequence[Any],
    prepare: Callable[[Any], NDArray[np.float32]],
    compute: Callable[[Tensor], dict[str, Tensor]],
    device: torch.device,
) -> dict[str, NDArray[np.float32]]:
    """What a network computes of items: (N, K) for each of its outputs; no output for no items.

    Args:
        items: any number; the last batch is filled up with its first item.
        prepare: one item -> an array of one shape.
        compute: a batch (B, ...) on the device -> outputs (B, K).
        device: where the network is.
    """
    parts: list[dict[str, NDArray[np.float32]]] = []
    for start in range(0, len(items), BATCH):
        some = [prepare(item) for item in items[start : start + BATCH]]
        batch = torch.from_numpy(np.stack(some + [some[0]] * (BATCH - len(some)))).to(device)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # sums are then taken in one order
        try:
            with torch.no_grad():
                outputs = compute(batch)
        finally:
            torch.set_num_threads(threads)
        parts.append({name: value[: len(some)].float().cpu().numpy() for name, value in outputs.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def squared(item: Picture, side_px: int) -> NDArray[np.uint8]:
    """The centred square of a picture at a size, uint8 (side, side, 3); grey becomes three equal channels."""
    square = image.centred_square(item.pixels)
    if square.shape[2] == 1:
        square = np.repeat(square, 3, axis=2)
    return square if square.shape[0] == side_px else image.resize(square, side_px, side_px)
