"""The uncompressed content of upstream files: read in chunks, measured, and cached while a file is unchanged.

A 12 GB file costs a chunk of memory. Measurements are cached by path, size and time of change, so that a file is
hashed once.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from xmbench.errors import DocumentError, OutputError
from xmbench.storage.cache import cache_folder
from xmbench.storage.files import byte_limit, regular_size, replacing, write_text

CHUNK = 1 << 16
LARGEST = 1 << 40  # of a file whose size is not in the recipe
LARGEST_CHANGED = 1 << 36  # of changed content: compressed data may be endless
LARGEST_READ = 1 << 31  # of a file that is read at once
REMEMBERED_BYTES = 1 << 20  # smaller files are hashed again
_SETTLED_S = 2.0  # a file that changed just now may change again within the clock's resolution
_GZIP = b"\x1f\x8b"
_PAGES = (b"<!doctype html", b"<html")


class WrongContentError(Exception):
    """A file that is not the published one; the text says why."""


class Expected(Protocol):
    """What a file should be: sha256 ("" where it is not known) and size of its uncompressed content."""

    @property
    def sha256(self) -> str: ...

    @property
    def bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Content:
    """Size and sha256 of a file's uncompressed content."""

    sha256: str
    bytes: int


def largest_packed(size: int) -> int:
    """Largest file for content of this size: compression adds a little at most."""
    return size + size // 100 + CHUNK


def file_size(path: Path, largest: int) -> int:
    """Size of a regular file that is not a web page.

    Raises:
        WrongContentError: a pipe, a device, beyond `largest`, or an HTML page instead of the file.
    """
    try:
        size = regular_size(path, largest)
        with path.open("rb") as handle:
            head = handle.read(512)
    except DocumentError as error:
        expected = f", expected {error.expected}" if error.expected else ""
        raise WrongContentError(f"{path.name}: {error.what}{expected}") from error
    except OSError as error:
        raise WrongContentError(f"{path.name}: cannot be read ({error.strerror})") from error
    if head.lstrip().lower().startswith(_PAGES):
        raise WrongContentError(f"{path.name}: a web page instead of the file (a login or quota page?)")
    return size


def is_packed(path: Path, size: int | None) -> bool:
    """Whether a file is a gzip file, and not itself the published one of `size` bytes."""
    with path.open("rb") as handle:
        return handle.read(2) == _GZIP and path.stat().st_size != size


def check(path: Path, spec: Expected) -> None:
    """Checks a file's size and sha256, uncompressed; without a sha256 there is nothing to compare with.

    Raises:
        WrongContentError: it cannot be read, or is not what the recipe says.
    """
    if not spec.sha256:
        file_size(path, LARGEST)
        return
    file_size(path, max(largest_packed(spec.bytes), CHUNK))
    found = measure(path, is_packed(path, spec.bytes), spec.bytes)
    if found.bytes != spec.bytes:
        more = "more than " if found.bytes > spec.bytes else ""
        raise WrongContentError(
            f"{path.name}: {more}{min(found.bytes, spec.bytes)} bytes uncompressed, expected {spec.bytes}: "
            + ("not this file" if more else "the file is cut off, or another one")
        )
    if found.sha256 != spec.sha256:
        raise WrongContentError(f"{path.name}: sha256 {found.sha256} of the uncompressed bytes, expected {spec.sha256}")


def changed(path: Path) -> Content:
    """Measures a file whose content is not the published one.

    Raises:
        WrongContentError: it cannot be read, is empty or endless.
    """
    limit = byte_limit(LARGEST_CHANGED)
    file_size(path, LARGEST_CHANGED)
    found = measure(path, is_packed(path, None), limit)
    if not 0 < found.bytes <= limit:
        what = f"more than {limit:,} bytes uncompressed" if found.bytes else "the file is empty"
        raise WrongContentError(f"{path.name}: {what}")
    return found


def measure(path: Path, packed: bool, most: int) -> Content:
    """sha256 and size of the content; reading stops soon after `most` bytes."""
    before = path.stat()
    known = _remembered(path, packed)
    if known is not None:
        return known
    digest, length = hashlib.sha256(), 0
    with stream(path, packed) as source:
        while length <= most and (chunk := _next(source, path.name, length)):
            digest.update(chunk)
            length += len(chunk)
    found = Content(digest.hexdigest(), length)
    if length <= most and path.stat().st_mtime_ns == before.st_mtime_ns:
        _remember(path, packed, found)
    return found


def stream(path: Path, packed: bool) -> BinaryIO:
    """A stream over the content."""
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def read(path: Path, spec: Expected) -> bytes:
    """The content of one file, checked; unchecked where the recipe has no sha256.

    Raises:
        WrongContentError: as `check`, or it is too large to be read at once.
    """
    if max(spec.bytes, file_size(path, LARGEST)) > LARGEST_READ:
        raise WrongContentError(f"{path.name}: too large to be read at once: use a stream or its path")
    if spec.sha256 and is_packed(path, spec.bytes):
        check(path, spec)  # compressed data may be endless
        with stream(path, True) as source:
            data = b"".join(iter(lambda: _next(source, path.name, 1), b""))
    else:
        data = path.read_bytes()
    if spec.sha256 and hashlib.sha256(data).hexdigest() != spec.sha256:
        check(path, spec)
        raise WrongContentError(f"{path.name}: it changed while it was read")
    return data


def unpack(path: Path, target: Path) -> None:
    """Writes the content of a gzip file to `target`, completely or not at all.

    Raises:
        WrongContentError: it is damaged.
        OutputError: the target cannot be written.
    """
    with replacing(target) as temporary, stream(path, True) as source, temporary.open("wb") as out:
        while chunk := _next(source, path.name, out.tell()):
            out.write(chunk)


def _next(source: BinaryIO, name: str, length: int) -> bytes:
    try:
        return source.read(CHUNK)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        if length and isinstance(error, gzip.BadGzipFile) and "Not a gzipped file" in str(error):
            return b""  # trailing bytes, which `gzip -d` ignores as well
        raise WrongContentError(f"{name}: damaged gzip file ({error})") from error
    except OSError as error:
        raise WrongContentError(f"{name}: cannot be read ({error.strerror})") from error


# --------------------------------------------------------------------------------------------- cached measurements
def remembered_file(path: Path, kind: str) -> Path:
    """Path in the cache of the measurements of a path."""
    name = hashlib.sha256(f"{kind} {path.resolve()}".encode(errors="surrogateescape")).hexdigest()
    return cache_folder() / "hashes" / f"{name[:32]}.json"


def signature(path: Path) -> list[int]:
    """Size and time of change; empty where it changed a moment ago."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns] if time.time() - found.st_mtime > _SETTLED_S else []


def recall(place: Path) -> dict[str, Any]:
    """The content of a file of the cache; empty where it is missing or damaged."""
    try:
        found = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def keep(place: Path, value: dict[str, Any]) -> None:
    """Writes a file of the cache; a cache that cannot be written only costs time."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, json.dumps(value))
    except (OSError, OutputError):
        return


def _remembered(path: Path, packed: bool) -> Content | None:
    if path.stat().st_size < REMEMBERED_BYTES:
        return None
    found = recall(remembered_file(path, _kind(packed)))
    if not found or found.get("signature") != signature(path):
        return None
    return Content(str(found["sha256"]), int(found["bytes"]))


def _remember(path: Path, packed: bool, found: Content) -> None:
    known = signature(path)
    if known and known[0] >= REMEMBERED_BYTES:
        value = {"signature": known, "sha256": found.sha256, "bytes": found.bytes}
        keep(remembered_file(path, _kind(packed)), value)


def _kind(packed: bool) -> str:
    return "unpacked" if packed else "as it is"
