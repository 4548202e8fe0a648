"""Several processes that train one network: each takes a share of the batch, gradients are averaged, one writes.

`torchrun --nproc-per-node 4 -m xmbench run-baseline ...` starts them and numbers them by environment variables
(`accelerate launch` sets the same ones). Everything else is the same on all of them: seeds, data, validation.
"""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from xmbench.errors import PrerequisiteError
from xmbench.execution.ranks import rank, world_size


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those of its training.

    Attributes:
        rank: its number, 0..size-1.
        size: number of processes; with 1 every method costs nothing.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def share(self, positions: Tensor) -> Tensor:
        """This process's part of a batch: (B,) -> about (B / size,)."""
        return positions if self.size == 1 else positions[self.rank :: self.size]

    def average_gradients(self, module: nn.Module, weight: float) -> None:
        """Replaces the gradients of a module by their mean over all processes, in one message.

        Args:
            module: whose weights have just got gradients, the same ones in every process.
            weight: this process's part of the batch; all of them sum to 1.
        """
        if self.size == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.requires_grad and p.grad is not None]
        if not gradients:
            return
        flat = torch.cat([gradient.flatten().float() for gradient in gradients]).mul_(weight)
        dist.all_reduce(flat)
        _unflatten(flat, gradients)

    @torch.no_grad()
    def average_buffers(self, module: nn.Module) -> None:
        """Replaces running statistics (of batch normalisation) by their mean over all processes."""
        found = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
        if self.size == 1 or not found:
            return
        flat = torch.cat([buffer.flatten().float() for buffer in found])
        dist.all_reduce(flat)
        _unflatten(flat.div_(self.size), found)

    @torch.no_grad()
    def same_start(self, module: nn.Module) -> None:
        """Copies the weights of the first process to all others."""
        if self.size > 1:
            for tensor in (*module.parameters(), *module.buffers()):
                dist.broadcast(tensor, 0)

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Means of values by name over all processes."""
        if self.size == 1:
            return values
        every = self.gather(values)
        return {name: sum(one[name] for one in every) / self.size for name in values}

    def agreed(self, value: Any) -> Any:
        """The value of the first process."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, 0)
        return values[0]

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in any process."""
        return flag if self.size == 1 else any(self.gather(flag))

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in the order of their ranks."""
        if self.size == 1:
            return [value]
        every: list[Any] = [None] * self.size
        dist.all_gather_object(every, value)
        return every


def _unflatten(flat: Tensor, into: Sequence[Tensor]) -> None:
    sizes = [tensor.numel() for tensor in into]
    for tensor, part in zip(into, torch.split(flat, sizes), strict=True):
        tensor.copy_(part.view(tensor.shape))


def join_processes(device: str) -> Processes:
    """Joins the other processes of this training, if there are any.

    Raises:
        PrerequisiteError: the environment has no address to meet at, or the others do not answer.
    """
    if world_size() == 1:
        return Processes()
    found = Processes(rank(), world_size())
    if not dist.is_initialized():
        try:
            dist.init_process_group("nccl" if device == "cuda" else "gloo", rank=found.rank, world_size=found.size)
        except (ValueError, RuntimeError) as error:
            raise PrerequisiteError(
                f"the {found.size} processes of this training cannot connect ({str(error)[:200]})",
                expected="MASTER_ADDR and MASTER_PORT, as `torchrun` and `accelerate launch` set them",
                todo="start them with one of these, or unset WORLD_SIZE to train in one process",
            ) from error
        atexit.register(_leave)
    return found


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
