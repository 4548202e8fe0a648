"""Extracts the upstream files that a recipe names from a tar or zip archive, to paths that xmbench chooses."""

from __future__ import annotations

import fnmatch
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from xmbench.formats.recipe import FileSpec
from xmbench.storage.files import make_folder, replacing, writing

LARGEST_MEMBER = 1 << 36
_EXPANSION = 200  # how many times its own size an archive may unpack to, after the first GB
_FREE_BYTES = 1 << 30
_CHUNK = 1 << 20
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    ValueError,
    OverflowError,
    IndexError,
    struct.error,
    NotImplementedError,  # an unknown compression method
    RuntimeError,  # an encrypted member
)
_Member = tuple[str, int, Callable[[], IO[bytes] | None]]


class DamagedArchiveError(Exception):
    """An archive that cannot be read, or lacks a file; the text says why."""


def extract_file(archive: Path, spec: FileSpec, target: Path) -> None:
    """Writes one file of an archive to `target`, completely or not at all; the caller checks its content.

    Raises:
        DamagedArchiveError: no such file in it, or it cannot be read.
        OutputError: the target cannot be written.
    """
    for name, size, opened in _members(archive):
        if _below_root(name, spec.name) is not None:
            if spec.bytes and size != spec.bytes:
                raise DamagedArchiveError(f"{archive.name}: {name} is {size:,} bytes long, expected {spec.bytes:,}")
            return _write(archive, name, size, opened, target)
    raise DamagedArchiveError(f"{archive.name}: does not contain {spec.name}")


def extract_folder(archive: Path, spec: FileSpec, target: Path) -> None:
    """Writes the files of an archive's directory that match the pattern to `target`, which is replaced.

    Raises:
        DamagedArchiveError: none match, or the archive cannot be read.
        OutputError: the target cannot be written.
    """
    half = target.with_name(f"{target.name}.part")
    with writing(half):
        shutil.rmtree(half, ignore_errors=True)
        make_folder(half)
    found, free = 0, _FREE_BYTES + _EXPANSION * archive.stat().st_size
    for name, size, opened in _members(archive):
        rest = _below_root(name, spec.name)
        hidden = any(part.startswith(".") for part in (rest or "").split("/"))  # `._name`, which macOS leaves
        if (
            rest
            and not hidden
            and fnmatch.fnmatchcase(rest, spec.pattern)
            and rest.count("/") == spec.pattern.count("/")
        ):
            free -= size
            if free < 0:
                raise DamagedArchiveError(f"{archive.name}: it unpacks to far more than an archive of its size should")
            path = half / rest
            make_folder(path.parent)
            _write(archive, name, size, opened, path)
            found += 1
    if not found:
        raise DamagedArchiveError(f"{archive.name}: does not contain {spec.name}/{spec.pattern}")
    with writing(target):
        shutil.rmtree(target, ignore_errors=True)
        half.replace(target)


def _below_root(name: str, wanted: str) -> str | None:
    """The part of a member's name below `wanted`; archives may add one top directory."""
    parts = PurePosixPath(name).parts
    if ".." in parts or name.startswith("/"):
        return None
    goal = PurePosixPath(wanted).parts
    for skipped in (0, 1):
        if parts[skipped : skipped + len(goal)] == goal:
            return "/".join(parts[skipped + len(goal) :])
    return None


def _members(archive: Path) -> Iterator[_Member]:
    """Regular files of an archive: name, size, how to open it (only until the next one is requested)."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                for entry in packed.infolist():
                    if not entry.is_dir():
                        yield entry.filename, entry.file_size, partial(packed.open, entry)
            return
        with tarfile.open(archive, "r|*") as tape:
            for member in tape:
                if member.isreg():
                    yield member.name, member.size, partial(tape.extractfile, member)
    except _DAMAGE as error:
        raise DamagedArchiveError(f"{archive.name}: a damaged archive ({str(error)[:200]})") from error


def _write(archive: Path, name: str, size: int, opened: Callable[[], IO[bytes] | None], target: Path) -> None:
    if not 0 <= size <= LARGEST_MEMBER:
        raise DamagedArchiveError(f"{archive.name}: {name} is {size:,} bytes long")
    make_folder(target.parent)
    with replacing(target) as temporary, temporary.open("wb") as out:
        for chunk in _chunks(archive, name, size, opened):
            out.write(chunk)


def _chunks(archive: Path, name: str, size: int, opened: Callable[[], IO[bytes] | None]) -> Iterator[bytes]:
    """The content of a member, of exactly the size that the archive says."""
    left = size
    try:
        stream = opened()
        if stream is None:
            raise EOFError("it cannot be opened")
        with stream:
            while left and (chunk := stream.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk
            if left:
                raise EOFError(f"{left:,} bytes are missing")
            if stream.read(1):  # also compares the checksum
                raise EOFError(f"it continues after {size:,} bytes")
    except _DAMAGE as error:
        raise DamagedArchiveError(f"{archive.name}: {name} is cut off or damaged ({str(error)[:200]})") from error
