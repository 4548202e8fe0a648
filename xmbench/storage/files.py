"""Reading and writing files: complete or not at all, and never a bare OSError for the user."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xmbench.errors import DocumentError, OutputError

LIMIT_VARIABLE = "XMBENCH_MAX_BYTES"
LARGEST_DOCUMENT = 1 << 26  # of a JSON or TOML document, 64 MiB: the manifest of a million rows needs a tenth of it
_KINDS = {
    stat.S_IFDIR: "a directory, not a file",
    stat.S_IFIFO: "a pipe, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
    stat.S_IFSOCK: "a socket, not a file",
}
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


def regular_size(path: Path, largest: int | None) -> int:
    """Size in bytes of a file, checked before anything of it is read.

    A pipe, a device or a socket would hang or never end; a file beyond its format's limit would fill the memory.

    Args:
        path: of a file; a link is followed.
        largest: what its format allows, in bytes; `$XMBENCH_MAX_BYTES`, where it is set, replaces it. None for a file
            that is streamed, so that its size does not matter.

    Raises:
        DocumentError: it is missing, not a regular file, or too large.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise DocumentError("no such file", where=path) from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise DocumentError(f"the file cannot be read ({error})", where=path) from error
    if not stat.S_ISREG(found.st_mode):
        raise DocumentError(_kind(found.st_mode), where=path, expected="a file")
    limit = found.st_size if largest is None else byte_limit(largest)
    if found.st_size > limit:
        raise DocumentError(
            f"the file has {found.st_size:,} bytes",
            where=path,
            expected=f"at most {limit:,}",
            todo=f"check that this is the right file; {LIMIT_VARIABLE}=BYTES allows larger ones",
        )
    return found.st_size


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "not a file")


def byte_limit(largest: int) -> int:
    """The largest size of a file or of its content: what the format allows, or `$XMBENCH_MAX_BYTES`.

    Raises:
        DocumentError: the variable is not a number of bytes.
    """
    chosen = os.environ.get(LIMIT_VARIABLE)
    if not chosen:
        return largest
    if not (chosen.isascii() and chosen.isdigit()) or len(chosen) > 18:
        raise DocumentError(
            f"{chosen[:40]!r} is not a number of bytes", where=LIMIT_VARIABLE, expected="like 1000000000"
        )
    return int(chosen)


def read_bytes(path: Path, largest: int = LARGEST_DOCUMENT) -> bytes:
    """The content of a regular file of at most `largest` bytes (see `regular_size`).

    Raises:
        DocumentError: it is missing, not a regular file, too large, or cannot be read.
    """
    regular_size(path, largest)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DocumentError(f"the file cannot be read ({error.strerror})", where=path) from error


def expanded(text: str) -> Path:
    """A path that was typed, with `~` and `~user` as a shell reads them.

    Raises:
        DocumentError: no such user, and no file of that name either.
    """
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError as error:
        if path.exists():
            return path
        raise DocumentError(
            f"no user has the home directory {path.parts[0]!r}", where=text, expected="a path like ~/x or ./~x"
        ) from error


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
                f"the directory cannot be written ({error.strerror})",
                where=path,
                todo="choose another directory with --out, or change its permissions",
            ) from error
        if error.errno == errno.ENOENT and not path.exists():
            raise OutputError(
                "the directory was removed while it was in use", where=path, todo="run the same command again"
            ) from error
        raise


def output_file(path: Path) -> Path:
    """Checks a path that a file will be written to, before the work; makes its directory.

    An existing file is replaced. A link to a file is replaced itself: what it points to is not touched. Directories,
    pipes, devices, sockets and links to them are refused.

    Raises:
        OutputError: something other than a file is there, or the directory cannot be written.
    """
    make_folder(path.parent)
    _refuse_irregular(path)
    return path


def _refuse_irregular(path: Path) -> None:
    with writing(path.parent):
        try:
            found = path.stat()
        except FileNotFoundError:
            return
        except ValueError as error:  # a null byte in the name
            raise OutputError(f"the file cannot be written ({error})", where=path) from error
    if not stat.S_ISREG(found.st_mode):
        raise OutputError(
            _kind(found.st_mode), where=path, expected="a file, or nothing", todo="choose another name with --out"
        )


def make_folder(path: Path) -> Path:
    """Creates a directory and its parents; checks that files can be written there.

    Raises:
        OutputError: it cannot be created or written.
    """
    with writing(path):
        try:
            if path.exists() and not path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except FileNotFoundError as error:  # a file system without new files (/proc)
            raise PermissionError(errno.EACCES, "no file can be created there") from error
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path next to `path`; renamed to it when the block succeeds, removed otherwise.

    A reader sees the old file or the new one, never a part. The content is flushed to the disk first.

    Raises:
        OutputError: something other than a file is there (see `output_file`), the directory cannot be written, or
            the disk is full.
    """
    _refuse_irregular(path)
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
    """Writes a file completely or not at all.

    Raises:
        OutputError: the directory cannot be written, or the disk is full.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 file completely or not at all."""
    write_bytes(path, text.encode())
