"""Which of several processes of one training this is: what `torchrun` and `accelerate launch` set as variables."""

from __future__ import annotations

import os

from xmbench.errors import PrerequisiteError


def world_size() -> int:
    """Processes of this training: 1 where it was started without a launcher."""
    return _number("WORLD_SIZE", 1)


def rank() -> int:
    """Number of this process, 0 to `world_size()` - 1. Only process 0 writes."""
    if world_size() == 1:
        return 0
    found = _number("RANK", -1)
    if not 0 <= found < world_size():
        raise PrerequisiteError(
            f"RANK is {os.environ.get('RANK', 'not set')} and WORLD_SIZE is {world_size()}",
            expected="a number from 0 to WORLD_SIZE - 1 for each process",
            todo="start the processes with `torchrun` or `accelerate launch`, or unset WORLD_SIZE",
        )
    return found


def local_rank() -> int:
    """Number of this process on its machine: the index of its GPU."""
    return _number("LOCAL_RANK", 0) if world_size() > 1 else 0


def _number(name: str, otherwise: int) -> int:
    text = os.environ.get(name, "")
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit()):
        raise PrerequisiteError(f"{name} is {text[:40]!r}", expected="a number", todo=f"unset {name}")
    return int(text)
