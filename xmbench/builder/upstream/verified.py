"""Upstream files that lie on this machine: found, checked, and read again only if they are still the same.

A file is right when its *uncompressed* content has the size and sha256 of the recipe: a re-compressed copy is as
good as the first. A copy of other content is refused, unless the user asks for it: then it is marked, in the
manifest and in the card, and its own sha256 is kept.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from xmbench.builder.upstream.folders import listed
from xmbench.errors import UpstreamError
from xmbench.formats.recipe import FileSpec, SourceSpec

_GZIP = b"\x1f\x8b"
_PAGES = (b"<!doctype html", b"<html")
_LARGEST = 1 << 32  # of a changed file, uncompressed: what is packed may be endless
_LISTED = 12


class WrongContentError(Exception):
    """A file that is not the published one; the text says why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of a recipe's `files`, found and checked.

    Attributes:
        name: as the recipe lists it.
        digest: the sha256 that was found.
        changed: the content is not the published one.
        specs: the files that can be read: one, or those of a folder.
        paths: where each lies, by name.
    """

    name: str
    digest: str
    changed: bool
    specs: tuple[FileSpec, ...]
    paths: Mapping[str, Path]


class VerifiedFiles:
    """The files of one source, each at a known path (`Upstream`). Picklable; content is checked on each read.

    Attributes:
        found: sha256 of each entry of the recipe, as found.
        changed: names of the entries whose content is not the published one.
    """

    def __init__(self, title: str, pieces: Iterable[Piece] = ()) -> None:
        self._title = title
        self._pieces = tuple(pieces)
        self._specs = {spec.name: spec for piece in self._pieces for spec in piece.specs}
        self._paths = {name: path for piece in self._pieces for name, path in piece.paths.items()}
        self._last: tuple[str, bytes] = ("", b"")
        self.found = {piece.name: piece.digest for piece in self._pieces}
        self.changed = tuple(piece.name for piece in self._pieces if piece.changed)

    def __reduce__(self) -> tuple[object, ...]:
        """Everything but the content."""
        return VerifiedFiles, (self._title, self._pieces)

    def names(self) -> tuple[str, ...]:
        """Names of the files, as the recipe lists them; those of a folder by their names below it."""
        return tuple(self._specs)

    def read(self, name: str) -> bytes:
        """The uncompressed content of one file; the last one read stays in memory.

        Raises:
            UpstreamError: the recipe does not list it, or it has changed since it was checked.
        """
        if name not in self._specs:
            known = ", ".join(list(self._specs)[:_LISTED]) or "its files (there are none)"
            raise UpstreamError(
                f"{self._title} needs a file that the recipe does not list", where=name, expected=f"among {known}"
            )
        if self._last[0] != name:
            self._last = ("", b"")  # two large files at once are not needed
            try:
                self._last = (name, content(self._paths[name], self._specs[name]))
            except WrongContentError as error:
                raise UpstreamError(str(error), where=self._paths[name], todo="fetch the file again") from error
        return self._last[1]


def content(path: Path, spec: FileSpec) -> bytes:
    """The uncompressed content of a file, checked; as it is where the recipe knows no sha256.

    Raises:
        WrongContentError: it cannot be read, or is not what the recipe says.
    """
    data = _bytes(path)
    if not spec.sha256:
        return data
    if data[:2] == _GZIP and len(data) != spec.bytes:
        data = _unpack(data, path.name, spec.bytes)
    if len(data) != spec.bytes:
        more = "more than " if len(data) > spec.bytes else ""
        short = min(len(data), spec.bytes)
        raise WrongContentError(
            f"{path.name}: {more}{short} bytes uncompressed, expected {spec.bytes}: "
            + ("not this file" if more else "the file is cut off, or another one")
        )
    digest = hashlib.sha256(data).hexdigest()
    if digest != spec.sha256:
        raise WrongContentError(f"{path.name}: sha256 {digest} of the uncompressed bytes, expected {spec.sha256}")
    return data


def file_at(path: Path, spec: FileSpec, accept_changed: bool = False) -> Piece:
    """One file, checked.

    Args:
        path: where it lies, as it is or as .gz.
        spec: what it should be.
        accept_changed: take it even if its content is another.

    Raises:
        WrongContentError: it is not the published one and that is not accepted, or it cannot be read.
    """
    try:
        content(path, spec)
    except WrongContentError:
        if not accept_changed:
            raise
        data = _bytes(path)
        data = _unpack(data, path.name, _LARGEST) if data[:2] == _GZIP else data
        if not data:
            raise WrongContentError(f"{path.name}: the file is empty") from None
        found = hashlib.sha256(data).hexdigest()
        other = spec.model_copy(update={"sha256": found, "bytes": len(data)})
        return Piece(spec.name, found, True, (other,), {spec.name: path})
    return Piece(spec.name, spec.sha256, False, (spec,), {spec.name: path})


def folder_at(root: Path, spec: FileSpec, accept_changed: bool = False) -> Piece:
    """A folder of files, checked as one.

    Raises:
        WrongContentError: as `file_at`; or it holds no file of the pattern.
    """
    try:
        listing = listed(root, spec)
    except OSError as error:
        raise WrongContentError(f"{spec.name}: cannot be read ({error.strerror})") from error
    if not listing.members:
        raise WrongContentError(f"{spec.name}: no {spec.pattern} in {root}")
    changed = listing.digest != spec.sha256
    if changed and not accept_changed:
        wanted = f"expected {spec.sha256}" if spec.sha256 else "and no published list to compare it with"
        raise WrongContentError(
            f"{spec.name}: {len(listing.members)} files whose list has the sha256 {listing.digest}, {wanted}"
        )
    return Piece(spec.name, listing.digest, changed, listing.members, listing.paths)


def wanted_files(source: SourceSpec, folder: Path | None) -> tuple[FileSpec, ...]:
    """The files of the published form that a folder holds; of the recipe's first form where it holds none."""
    forms = [source.files_of(layout) for layout in source.layouts]
    for files in forms if folder is not None else ():
        archives = [archive for archive in source.archives if archive.name in {file.archive for file in files}]
        if any(located(folder, spec) for spec in (*files, *archives) if folder is not None):
            return files
    return forms[0] if forms else ()


def located(folder: Path, spec: FileSpec) -> Path | None:
    """Where a file (as it is or as .gz) or a folder lies: in `folder`, else in a folder directly below it."""
    names = (spec.name,) if spec.kind == "folder" else (spec.name, f"{spec.name}.gz")
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
    there = Path.is_dir if spec.kind == "folder" else Path.is_file
    return next((place / name for place in places for name in names if there(place / name)), None)


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WrongContentError(f"{path.name}: cannot be read ({error.strerror})") from error
    if data[:512].lstrip().lower().startswith(_PAGES):
        raise WrongContentError(f"{path.name}: a web page instead of the file (a login or quota page?)")
    return data


def _unpack(data: bytes, name: str, wanted: int) -> bytes:
    try:
        unpacker = zlib.decompressobj(wbits=31)
        unpacked = unpacker.decompress(data, wanted + 1)
        if len(unpacked) <= wanted and not unpacker.eof:
            raise EOFError("the file ends in the middle")
        return unpacked
    except (zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise WrongContentError(f"{name}: damaged gzip file ({error})") from error
