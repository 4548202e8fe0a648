"""Weights of small networks as they ship: 8-bit integers with one scale per output channel, in a safetensors file.

Scores are defined on the CPU: float32 on one thread, in batches of one size, so that they are the same everywhere. On a
GPU the same networks compute in float32 too, but sums are taken in another order: last digits differ.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, nn

from xmbench.errors import PrerequisiteError
from xmbench.judges.header import header

_DEVICES = ("cpu", "cuda")
AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)


@contextlib.contextmanager
def exactly(device: str = "cpu") -> Iterator[None]:
    """One thread, full float32 and no gradients: sums are then taken in one order on every machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with contextlib.ExitStack() as held:
            held.enter_context(torch.no_grad())
            if device != "cpu":
                held.enter_context(
                    torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
                )
            yield
    finally:
        torch.set_num_threads(threads)


def batched(
    batches: Iterable[tuple[Tensor, int]], compute: Callable[[Tensor], Tensor], width: int, device: str = "cpu"
) -> NDArray[np.float32]:
    """What a network computes of batches of one size: float32 (N, width).

    Args:
        batches: each filled up to one size, with the number of its rows that count.
        compute: a batch (B, ...) on the device -> (B, width).
        width: of a row.
        device: where the network is.
    """
    found = []
    for batch, count in batches:
        with exactly(device):
            found.append(compute(batch.to(device))[:count].cpu().numpy())
    return np.concatenate(found) if found else np.empty((0, width), np.float32)


def require(device: str) -> None:
    """Checks that networks can compute on a device.

    Raises:
        PrerequisiteError: torch has no such device on this machine.
    """
    try:
        if torch.device(device).type not in _DEVICES:
            raise RuntimeError(device)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: a build of torch without CUDA
        raise PrerequisiteError(
            f"judges cannot compute on {device!r}",
            expected="cpu, or cuda with a GPU that torch can use (`xmbench doctor` names it)",
            todo="leave --judge-device out: the CPU defines the scores",
        ) from error


def pack(about: Mapping[str, Any], networks: Sequence[nn.Module]) -> bytes:
    """A safetensors file of the networks' weights; `about` (with its "format") is in the header."""
    tensors: dict[str, Tensor] = {}
    for number, network in enumerate(networks):
        for name, value in network.state_dict().items():
            if value.dtype != torch.float32:
                continue  # counters of batch normalisation
            if value.ndim < 2:
                tensors[f"{number}.{name}"] = value.contiguous()
                continue
            scale = value.abs().flatten(1).amax(1).clamp_min(1e-12) / 127.0
            rounded = (value / _along(scale, value)).round().to(torch.int8)
            tensors[f"{number}.{name}"], tensors[f"{number}.{name}:scale"] = rounded, scale
    header = json.dumps({**about, "networks": len(networks)})
    return bytes(save(tensors, {"judge": header}))  # one key: the order of several is not fixed


def tensors(data: bytes, expected: str | tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors of a judge's file.

    Raises:
        PrerequisiteError: the file is damaged, or of another format than `expected` (or those).
    """
    about, known = header(data), _formats(expected)
    if about["format"] not in known:
        raise PrerequisiteError("the weights are of another judge", where=about["format"], expected=" or ".join(known))
    try:
        return load(data)
    except Exception as error:  # any damage to the file
        raise PrerequisiteError("the judge's weights cannot be read", expected=f"a file of {known[0]}") from error


def restore(network: nn.Module, stored: Mapping[str, Tensor], number: int) -> None:
    """Fills network `number` from stored tensors and sets it to evaluation mode.

    Raises:
        PrerequisiteError: a tensor is missing or of another shape.
    """
    state = network.state_dict()
    try:
        for name, value in state.items():
            if value.dtype != torch.float32:
                continue
            kept = stored[f"{number}.{name}"]
            if kept.dtype == torch.int8:
                kept = kept.to(torch.float32) * _along(stored[f"{number}.{name}:scale"], value)
            state[name] = kept
        network.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise PrerequisiteError("the judge's weights do not fit its network", expected="another version") from error
    network.eval()


def unpack(
    data: bytes, expected: str | tuple[str, ...], make: Callable[[dict[str, Any]], AnyNetwork]
) -> tuple[dict[str, Any], tuple[AnyNetwork, ...]]:
    """The header of a judge's file, and its networks in evaluation mode, with weights as they are stored.

    Args:
        data: what `pack` gave.
        expected: the format, or the formats, that can be read.
        make: gives an untrained network for a header.

    Raises:
        PrerequisiteError: not weights, or those of another judge, or of another version of it.
    """
    stored, about = tensors(data, expected), header(data)
    try:
        networks = tuple(make(about) for _ in range(about["networks"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        formats = " or ".join(_formats(expected))
        raise PrerequisiteError("the judge's weights cannot be read", expected=f"a file of {formats}") from error
    for number, network in enumerate(networks):
        restore(network, stored, number)
    return about, networks


def _formats(expected: str | tuple[str, ...]) -> tuple[str, ...]:
    return (expected,) if isinstance(expected, str) else expected


def _along(scale: Tensor, value: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (value.ndim - 1))
