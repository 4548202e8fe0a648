"""Devices, precision, seeds and memory: where and how networks compute is decided in this module alone."""

from __future__ import annotations

import ctypes
import hashlib
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

import torch
from torch import nn

from xmbench.errors import PrerequisiteError
from xmbench.execution.ranks import local_rank

Precision = Literal["float32", "bf16"]
Net = TypeVar("Net", bound=nn.Module)


def resolve_device(wanted: str) -> str:
    """Turns "auto", "cpu" or "cuda" into "cpu" or "cuda".

    Of several processes (`torchrun`, `accelerate launch`) each gets its own GPU: "cuda" then means that one.

    Raises:
        PrerequisiteError: CUDA is asked for and not available, or there are fewer GPUs than processes.
    """
    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        if local_rank() >= torch.cuda.device_count():
            raise PrerequisiteError(
                f"process {local_rank()} has no GPU",
                expected=f"at most {torch.cuda.device_count()} processes on this machine, one per GPU",
                todo="start fewer processes (--nproc-per-node), or use --device cpu",
            )
        torch.cuda.set_device(local_rank())
        return "cuda"
    if wanted == "cuda":
        raise PrerequisiteError(
            "no CUDA device can be used",
            expected="an NVIDIA GPU, its driver, and a PyTorch built for CUDA",
            todo="use --device cpu (or --device auto, which uses a GPU if there is one)",
        )
    return "cpu"


def require_bf16(device: str) -> None:
    """Raises PrerequisiteError for a GPU that only emulates bfloat16; a processor may do so, slowly."""
    if device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise PrerequisiteError(
            "this GPU cannot compute with precision bf16",
            where=torch.cuda.get_device_name(),
            expected="a GPU of compute capability 8.0 or more (Ampere)",
            todo="use --set precision=float32, or --device cpu",
        )


def describe_device(device: str) -> str:
    """The name of the GPU, or the processor and the number of threads of PyTorch."""
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    return f"CPU {platform.machine()}, {torch.get_num_threads()} threads"


@contextmanager
def processor_threads(count: int) -> Iterator[None]:
    """Computes with so many threads of the processor; afterwards with as many as before.

    PyTorch shares a sum between its threads: another number of them gives other last digits, and other weights.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def place(module: Net, device: str, *, channels_last: bool = False, compiled: bool = False) -> Net:
    """Moves a module to its device, in the memory format asked for; returns the same module.

    Args:
        module: a network on the host.
        device: "cpu" or "cuda".
        channels_last: faster convolutions on GPUs with tensor cores and on CPUs; the same values to rounding.
        compiled: compiles it in place on first use, with the same names of weights; needs a C++ compiler.
    """
    memory = torch.channels_last if channels_last else torch.preserve_format
    with computing(f"moving a network to the device '{device}'"):
        module.to(device, memory_format=memory)  # type: ignore[call-overload]
    if compiled:
        module.compile()
    return module


def autocast(device: str, precision: Precision) -> torch.autocast:
    """The context for losses, validation and generation; "bf16" computes matrix products in bfloat16."""
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def computing(what: str, smaller: str = "use a smaller batch (--set NAME=VALUE)") -> Iterator[None]:
    """Turns the lack of memory or of a compiler into a message.

    Args:
        what: is being computed, for the message.
        smaller: what to change where memory runs out.

    Raises:
        PrerequisiteError: memory ran out, or a network cannot be compiled.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if _out_of_memory(error):
            raise PrerequisiteError(
                f"out of memory while {what} ({str(error).splitlines()[0][:160] if str(error) else 'host memory'})",
                expected="a batch and a network that fit",
                todo=f"{smaller} or a smaller network (--preset lite), precision bf16 where the baseline has that "
                "setting, or close other programs that use this device",
            ) from error
        dynamo = sys.modules.get("torch._dynamo")
        if dynamo is not None and isinstance(error, dynamo.exc.TorchDynamoException):
            raise PrerequisiteError(
                f"the network cannot be compiled ({str(error).splitlines()[0][:200]})",
                expected="a C++ compiler, and on a GPU Triton",
                todo="turn compiling off (--set NAME=false)",
            ) from error
        raise


def _out_of_memory(error: Exception) -> bool:
    # The allocator of the host and cuBLAS raise a plain RuntimeError: only its message tells.
    messages = (
        "can't allocate memory",
        "not enough memory",
        "ALLOC_FAILED",
        "CUDA out of memory",
        "CUDA error: out of memory",
    )
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(message in str(error) for message in messages)


def seed_everything(*parts: object) -> None:
    """Seeds PyTorch's generators from any values; call it before a module is initialised."""
    torch.manual_seed(seed_of(*parts))


def seed_of(*parts: object) -> int:
    """A seed, 0..2**63-1, from any values."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def keep_freed_memory() -> None:
    """Lets glibc keep freed blocks in this process instead of returning each to the system.

    A step on the CPU frees and allocates some hundred MB of gradients; the page faults cost three quarters
    of its time (measured on 2 cores: 380 -> 98 ms backward, 660 -> 143 ms optimiser, 19 M parameters).
    """
    m_trim_threshold, m_mmap_max = -1, -4
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)
