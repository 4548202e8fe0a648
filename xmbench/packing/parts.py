"""The parts of a pack: one tar file divided at fixed lengths, with an index that is written last."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa
from pydantic import Field

from xmbench.errors import DatasetError, DocumentError, MediaError
from xmbench.formats.document import load_json
from xmbench.formats.model import Document, Part
from xmbench.formats.recipe import Sha256
from xmbench.printable import shown
from xmbench.storage.files import regular_size, replacing

INDEX_FILE = "pack.json"
SMALLEST_PART = 1 << 16
_PART_NAME = r"^part-\d{5}\.pack$"
_MEMBER = re.compile(r"[a-zA-Z]+(-\d{5}){0,2}\.(json|md|parquet|webp)")
_CHUNK = 1 << 20


class PartRecord(Part):
    """One part: its name, its size and its sha256."""

    name: str = Field(pattern=_PART_NAME)
    bytes: int
    sha256: Sha256


class PackIndex(Document):
    """`pack.json`: which data set is packed, and its parts in order. A pack without it is not complete."""

    schema_: Literal["xmbench/pack/1"] = Field(default="xmbench/pack/1", alias="schema")
    recipe: str
    dataset_digest: Sha256
    xmbench_version: str
    part_bytes: int
    parts: tuple[PartRecord, ...] = Field(min_length=1)

    @property
    def bytes(self) -> int:
        """Of all parts."""
        return sum(part.bytes for part in self.parts)


class _Divided(io.RawIOBase):
    """A file that is written as parts of a length; each gets its name when it is complete."""

    def __init__(self, folder: Path, length: int) -> None:
        self._folder, self._length = folder, length
        self._handle: BinaryIO | None = None
        self.parts: list[PartRecord] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile gives bytes
        view = memoryview(data)
        while len(view):
            if self._handle is None:
                self._handle, self._digest, self._size = self._temporary.open("wb"), hashlib.sha256(), 0
            piece = view[: self._length - self._size]
            self._handle.write(piece)
            self._digest.update(piece)
            self._size += len(piece)
            view = view[len(piece) :]
            if self._size == self._length:
                self.finish()
        return len(data)

    def finish(self) -> None:
        """Completes the part that is being written."""
        if self._handle is None:
            return
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()
        self._handle = None
        name = f"part-{len(self.parts):05d}.pack"
        self._temporary.replace(self._folder / name)
        self.parts.append(PartRecord(name=name, bytes=self._size, sha256=self._digest.hexdigest()))

    @property
    def _temporary(self) -> Path:
        return self._folder / f".part-{len(self.parts):05d}.tmp"


def write_parts(members: Sequence[Path], folder: Path, length: int) -> list[PartRecord]:
    """Divides files, in this order, among parts of at most `length` bytes."""
    divided = _Divided(folder, length)
    with tarfile.open(fileobj=divided, mode="w|", format=tarfile.USTAR_FORMAT) as packed:
        for path in members:
            entry = tarfile.TarInfo(path.name)  # no owner, no time: the same files give the same parts
            entry.size = path.stat().st_size
            with path.open("rb") as handle:
                packed.addfile(entry, handle)
    divided.finish()
    return divided.parts


def find_parts(sources: Sequence[Path]) -> tuple[PackIndex, list[Path]]:
    """The index and the parts of a pack, in order; every part has been read and has its sha256.

    Args:
        sources: a directory, or files of the pack, its index among them.

    Raises:
        DatasetError: no index, or parts that are missing or damaged; all of them are named.
        DocumentError: an index that does not fit its schema.
    """
    listed = [path for source in sources for path in (sorted(source.iterdir()) if source.is_dir() else [source])]
    files = {path.name: path for path in listed}
    if INDEX_FILE not in files or not files[INDEX_FILE].is_file():
        raise DatasetError(
            "no complete pack here",
            where=sources[0],
            expected=f"a {INDEX_FILE}, which `xmbench pack` writes last, and the parts that it names",
            todo="copy it too, or run `xmbench pack` again",
        )
    index = load_json(files[INDEX_FILE], PackIndex)
    problems = [problem for part in index.parts if (problem := part_problem(files.get(part.name), part))]
    if problems:
        raise DatasetError(
            f"{len(problems):,} of {len(index.parts):,} parts are missing or damaged",
            where=files[INDEX_FILE],
            problems=problems,
            todo="copy these parts again",
        )
    return index, [files[part.name] for part in index.parts]


def part_problem(path: Path | None, part: PartRecord) -> str:
    """Why a file is not the part; "" where it is."""
    if path is None or not path.exists():
        return f"{part.name}: missing"
    try:
        size = regular_size(path, None)
    except DocumentError as error:
        return f"{part.name}: {error.what}"
    if size != part.bytes:
        return f"{part.name}: {size:,} bytes, expected {part.bytes:,}"
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    return "" if found == part.sha256 else f"{part.name}: sha256 {found[:12]}, expected {part.sha256[:12]}"


class _Joined(io.RawIOBase):
    """Parts read as one file."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._left = iter(paths)
        self._now: io.BufferedReader | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found = b""
        while len(found) < size:
            if self._now is None:
                path = next(self._left, None)
                if path is None:
                    break
                self._now = path.open("rb")
            data = self._now.read(size - len(found))
            found += data
            if not data:
                self._now.close()
                self._now = None
        return found

    def close(self) -> None:
        if self._now is not None:
            self._now.close()
            self._now = None
        super().close()


def extract(paths: Sequence[Path], folder: Path) -> None:
    """Writes the files of a pack into a directory.

    Raises:
        DatasetError: the parts are not those of a pack.
    """
    with unpacked(paths[0]), _Joined(paths) as joined, tarfile.open(fileobj=joined, mode="r|") as packed:
        for entry in packed:
            whole = entry.isreg() and not entry.issparse()  # a sparse file of some bytes could fill the disk
            content = packed.extractfile(entry) if whole and _MEMBER.fullmatch(entry.name) else None
            if content is None:
                raise ValueError(f"an unexpected entry '{shown(entry.name)}'")
            with replacing(folder / entry.name) as temporary, temporary.open("wb") as handle:
                while data := content.read(_CHUNK):
                    handle.write(data)


@contextmanager
def unpacked(path: Path) -> Iterator[None]:
    """Turns the errors of reading a file of a pack into a message."""
    try:
        yield
    except (tarfile.TarError, pa.ArrowException, MediaError, ValueError, KeyError, IndexError, EOFError) as error:
        raise DatasetError(
            f"the pack cannot be read ({shown(str(error), 200)})",
            where=path,
            todo="pack the data set again, with the same version of xmbench on both machines",
        ) from error
