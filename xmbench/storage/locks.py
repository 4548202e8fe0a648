"""A lock that ends with its process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xmbench.errors import OutputError
from xmbench.storage.files import writing

if sys.platform == "win32":
    import msvcrt

    def _take(handle: int, wait: bool) -> None:
        msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(handle: int, wait: bool) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Holds a lock file. The system releases it when the process ends, however it ends.

    Raises:
        OutputError: another process holds it and `wait` is False, or the file cannot be created.
    """
    handle = _acquire(path, wait)
    try:
        yield
    finally:
        os.close(handle)


def _acquire(path: Path, wait: bool) -> int:
    while True:
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _take(handle, wait)
        except (BlockingIOError, PermissionError) as error:
            os.close(handle)
            raise OutputError(
                "another xmbench is working in this directory",
                where=path.parent,
                todo="wait until it is done, or choose another directory with --out",
            ) from error
        except OSError:
            return handle  # a file system without locks: work unlocked
        if _same_file(path, handle):
            return handle
        os.close(handle)


def _same_file(path: Path, handle: int) -> bool:
    """Whether the file is still there: the previous holder may have removed it while we waited."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
