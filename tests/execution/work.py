"""Work for the executor's tests: functions of a module, as processes find them by their names."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from xmbench.errors import UpstreamError


class OwnError(Exception):
    """An exception that cannot be made from its own arguments."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class NoWayBack:
    """A value that arrives in a worker and cannot return."""

    def __getstate__(self) -> object:
        raise TypeError("this does not travel")


def add(shared: int, task: int) -> int:
    return shared + task


def process(shared: object, task: object) -> int:
    return os.getpid()


def identity(shared: object, task: object) -> tuple[int, object]:
    """Where the shared value is in the worker's memory, and the worker."""
    return id(shared), os.getpid()


def slow_first(shared: float, task: int) -> int:
    """The first task takes longer than all others."""
    time.sleep(shared if task == 0 else 0.0)
    return task


def fail(shared: str, task: int) -> int:
    """The fourth task fails in the way that is asked for."""
    if task != 3:
        return task
    if shared == "ours":
        raise UpstreamError("it is gone", where="there", todo="fetch it", problems=["a", "b"])
    if shared == "value":
        raise ValueError("no such value")
    if shared == "own":
        raise OwnError("one", "two")
    if shared == "result":
        return NoWayBack()  # type: ignore[return-value]
    time.sleep(0.3)  # the others are finished by then
    os.kill(os.getpid(), signal.SIGKILL)
    return task


def mark_and_wait(shared: Path, task: int) -> int:
    """Says that it has begun, and then works for longer than any test."""
    (shared / f"{task}-{os.getpid()}").touch()
    time.sleep(600)
    return task


def broken_import(shared: object, task: object) -> object:
    return shared


class Unloadable:
    """Shared by tasks: cannot be made again in the worker."""

    def __reduce__(self) -> tuple[object, ...]:
        return _refuse, ()


def _refuse() -> None:
    raise RuntimeError("not on this machine")
