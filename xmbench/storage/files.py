"""Reading and writing whole files: never half of one, and never a bare OSError for the user."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xmbench.errors import DocumentError, OutputError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        DocumentError: it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DocumentError("no such file", where=path) from error
    except OSError as error:
        raise DocumentError(f"the file cannot be read ({error.strerror})", where=path) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the OS errors of a write below `path` into an `OutputError` that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise OutputError(
                "no space left on the disk",
                where=path,
                todo="free some space and run the same command again: finished parts are kept",
            ) from error
        if error.errno in _REFUSED:
            raise OutputError(
                f"the folder cannot be written ({error.strerror})",
                where=path,
                todo="choose another folder with --out, or change its permissions",
            ) from error
        raise


def make_folder(path: Path) -> Path:
    """Creates a folder and its parents; checks that files can be written there.

    Raises:
        OutputError: it cannot be made or written.
    """
    with writing(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except FileNotFoundError as error:  # a file system that takes no folders or files (/proc)
            raise PermissionError(errno.EACCES, "nothing can be made there") from error
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; renamed to it when the block ends well, removed otherwise.

    A reader sees the old file or the new one, never a half. The content is flushed to the disk first.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path.parent):
        try:
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a whole file or nothing.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Writes a whole UTF-8 file or nothing."""
    write_bytes(path, text.encode())
