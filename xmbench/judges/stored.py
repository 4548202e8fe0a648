"""How a judge is stored: a safetensors file of 8-bit weights with one scale per output channel, and what it knows."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from xmbench.errors import PrerequisiteError

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)


@contextlib.contextmanager
def exactly() -> Iterator[None]:
    """One thread: sums are then taken in one order on every machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)


def pack(about: Mapping[str, Any], networks: Sequence[nn.Module]) -> bytes:
    """Networks as a safetensors file; `about` has the judge's `format` and its `words`."""
    tensors: dict[str, Tensor] = {}
    for number, network in enumerate(networks):
        for name, value in network.state_dict().items():
            if value.dtype != torch.float32:
                continue  # counters of batch normalisation
            if value.ndim < 2:
                tensors[f"{number}.{name}"] = value.contiguous()
                continue
            scale = value.abs().flatten(1).amax(1).clamp_min(1e-12) / 127.0
            rounded = (value / scale.view(-1, *[1] * (value.ndim - 1))).round().to(torch.int8)
            tensors[f"{number}.{name}"], tensors[f"{number}.{name}:scale"] = rounded, scale
    return bytes(save(tensors, {"judge": json.dumps(about)}))  # one key: the order of several is not fixed


def read_about(data: bytes, expected: str) -> dict[str, Any]:
    """What `pack` was told of the judge.

    Raises:
        PrerequisiteError: this is no file of a judge; `expected` says of which.
    """
    try:
        size = int.from_bytes(data[:8], "little")
        about: dict[str, Any] = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["judge"])
        about["format"]
    except Exception as error:  # any damage to the file
        raise _unreadable(expected) from error
    return about


def unpack(
    data: bytes, expected: str, make: Callable[[dict[str, Any]], AnyNetwork]
) -> tuple[dict[str, Any], tuple[AnyNetwork, ...]]:
    """What is known of a judge, and its networks in evaluation mode, with weights as they are stored.

    Args:
        data: what `pack` gave.
        expected: the format.
        make: an untrained network, from what is known of the judge.

    Raises:
        PrerequisiteError: these are no weights, or those of another judge, or of another version of it.
    """
    about = read_about(data, expected)
    if about["format"] != expected:
        raise PrerequisiteError("the weights belong to another judge", where=about["format"], expected=expected)
    try:
        tensors = load(data)
        return about, tuple(_filled(make(about), number, tensors) for number in range(about["networks"]))
    except Exception as error:  # any damage to the file
        raise _unreadable(expected) from error


def _filled(network: AnyNetwork, number: int, tensors: Mapping[str, Tensor]) -> AnyNetwork:
    state = network.state_dict()
    for name, value in state.items():
        if value.dtype != torch.float32:
            continue
        stored = tensors[f"{number}.{name}"]
        if stored.dtype == torch.int8:
            scale = tensors[f"{number}.{name}:scale"].view(-1, *[1] * (value.ndim - 1))
            stored = stored.to(torch.float32) * scale
        state[name] = stored
    network.load_state_dict(state)
    return network.eval()


def _unreadable(expected: str) -> PrerequisiteError:
    return PrerequisiteError("the judge's weights cannot be read", expected=f"a file of {expected}")
