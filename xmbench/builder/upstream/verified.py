"""Upstream files on this machine: found, checked, and later read only if they are still the same.

A file is right when its *uncompressed* content has the size and sha256 of the recipe: a re-compressed copy is
equally right. Changed content is refused, unless the user accepts it: then it is marked in the manifest and in the
card, with its own sha256.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from xmbench.builder.upstream import contents
from xmbench.builder.upstream.contents import WrongContentError
from xmbench.builder.upstream.folders import Member, listed
from xmbench.builder.upstream.items import Items
from xmbench.builder.upstream.links import Links
from xmbench.errors import UpstreamError
from xmbench.execution.progress import Progress, silent
from xmbench.formats.recipe import FileSpec, SourceSpec
from xmbench.interfaces import Link, Rejected
from xmbench.storage.cache import cache_folder
from xmbench.storage.files import make_folder
from xmbench.storage.locks import locked

_LISTED = 12

__all__ = ["Piece", "VerifiedFiles", "WrongContentError", "file_at", "folder_at", "located", "wanted_files"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of a recipe's `files`, found and checked.

    Attributes:
        name: as the recipe lists it.
        digest: the sha256 that was found.
        changed: the content is not the published one.
        specs: the files that can be read: one, or those of a directory.
        path: of the file or the directory.
    """

    name: str
    digest: str
    changed: bool
    specs: tuple[FileSpec, ...] | tuple[Member, ...]
    path: Path


class VerifiedFiles:
    """The files of one source, each at a known path (`Upstream`). Picklable; checked again where they changed.

    Attributes:
        found: sha256 of each entry of the recipe, as found.
        changed: names of the entries whose content is not the published one.
        links: the linked recordings that the files name.
    """

    def __init__(
        self, title: str, pieces: Iterable[Piece] = (), offline: bool = False, progress: Progress = silent
    ) -> None:
        self._title = title
        self._pieces = tuple(pieces)
        self._specs: dict[str, FileSpec | Member] = {s.name: s for piece in self._pieces for s in piece.specs}
        self._places = {piece.name: piece.path for piece in self._pieces}
        self._last: tuple[str, bytes] = ("", b"")
        self._items = Items(offline)
        self.links = Links(offline, progress)
        self._offline = offline
        self.found = {piece.name: piece.digest for piece in self._pieces}
        self.changed = tuple(piece.name for piece in self._pieces if piece.changed)

    def __reduce__(self) -> tuple[object, ...]:
        """All but the content and what was fetched: a worker finds that in the cache."""
        return VerifiedFiles, (self._title, self._pieces, self._offline)

    def names(self) -> tuple[str, ...]:
        """Names of the files, as the recipe lists them; those of a directory by their names below it."""
        return tuple(self._specs)

    def read(self, name: str) -> bytes:
        """The uncompressed content of one small file; the last one is cached.

        Raises:
            UpstreamError: the recipe does not list it, or it has changed since it was checked.
        """
        path, spec = self._known(name)
        if self._last[0] != name:
            self._last = ("", b"")  # never two large files in memory
            try:
                self._last = (name, contents.read(path, spec))
            except WrongContentError as error:
                raise _wrong(error, path) from error
        return self._last[1]

    def open(self, name: str) -> BinaryIO:
        """A stream over the uncompressed content of one file of any size; raises as `read`."""
        path, _, packed = self._checked(name)
        return contents.stream(path, packed)

    def path(self, name: str) -> Path:
        """A file with the uncompressed content of `name`: its own, or one in the cache; raises as `read`."""
        path, spec, packed = self._checked(name)
        if not packed:
            return path
        target = cache_folder() / "unpacked" / spec.sha256[:16] / PurePosixPath(name).name
        with locked(make_folder(target.parent) / "lock", wait=True):
            try:
                contents.check(target, spec)
            except WrongContentError:
                contents.unpack(path, target)
        return target

    def item(self, url: str) -> Path | Rejected:
        """One item of a source whose items are fetched one by one: its file in the cache, or why there is none."""
        return self._items.fetch(url)

    def recordings(self, links: Sequence[Link]) -> list[Path | Rejected]:
        """The sound of each linked recording, in the cache, or why there is none; raises as `Upstream.recordings`."""
        return self.links.fetch(links)

    def _known(self, name: str) -> tuple[Path, FileSpec | Member]:
        if name not in self._specs:
            known = ", ".join(list(self._specs)[:_LISTED]) or "its files (there are none)"
            raise UpstreamError(
                f"{self._title} needs a file that the recipe does not list", where=name, expected=f"among {known}"
            )
        spec = self._specs[name]
        return spec.path(self._places[spec.folder]) if isinstance(spec, Member) else self._places[spec.name], spec

    def _checked(self, name: str) -> tuple[Path, FileSpec | Member, bool]:
        """Path and spec of a file that is still the one that was checked, and whether it is compressed."""
        path, spec = self._known(name)
        try:
            contents.check(path, spec)
        except WrongContentError as error:
            raise _wrong(error, path) from error
        return path, spec, bool(spec.sha256) and contents.is_packed(path, spec.bytes)


def _wrong(error: WrongContentError, path: Path) -> UpstreamError:
    return UpstreamError(str(error), where=path, todo="fetch the file again")


def file_at(path: Path, spec: FileSpec, accept_changed: bool = False) -> Piece:
    """One file, checked.

    Args:
        path: of the file, plain or as .gz.
        spec: what it should be.
        accept_changed: accept changed content.

    Raises:
        WrongContentError: it is not the published one and that is not accepted, or it cannot be read.
    """
    path = path.absolute()  # a worker may have another working directory
    try:
        contents.check(path, spec)
    except WrongContentError:
        if not accept_changed:
            raise
        found = contents.changed(path)
        other = spec.model_copy(update={"sha256": found.sha256, "bytes": found.bytes})
        return Piece(spec.name, found.sha256, True, (other,), path)
    return Piece(spec.name, spec.sha256, False, (spec,), path)


def folder_at(root: Path, spec: FileSpec, accept_changed: bool = False) -> Piece:
    """A directory of files, checked together.

    Raises:
        WrongContentError: as `file_at`; or it holds no file of the pattern, or files that cannot be used.
    """
    try:
        listing = listed(root.absolute(), spec)
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
    return Piece(spec.name, listing.digest, changed, listing.members, root.absolute())


def wanted_files(source: SourceSpec, folder: Path | None) -> tuple[FileSpec, ...]:
    """The files of the published form in a directory; of the recipe's first form where there is none."""
    forms = [source.files_of(layout) for layout in source.layouts]
    for files in forms if folder is not None else ():
        archives = [archive for archive in source.archives if archive.name in {file.archive for file in files}]
        if any(located(folder, spec) for spec in (*files, *archives) if folder is not None):
            return files
    return forms[0] if forms else ()


def located(folder: Path, spec: FileSpec) -> Path | None:
    """Path of a file (plain or as .gz) or a directory: in `folder`, else in a directory directly below it.

    Raises:
        UpstreamError: the directory cannot be read.
    """
    names = (spec.name,) if spec.kind == "folder" else (spec.name, f"{spec.name}.gz")
    there = Path.is_dir if spec.kind == "folder" else _is_not_directory
    try:
        places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        return next((place / name for place in places for name in names if there(place / name)), None)
    except OSError as error:
        raise UpstreamError(
            f"the directory cannot be read ({error.strerror})",
            where=error.filename or folder,
            todo="check its permissions",
        ) from error


def _is_not_directory(path: Path) -> bool:
    """Whether something other than a directory is there; its kind is checked before it is read."""
    return (path.exists() or path.is_symlink()) and not path.is_dir()
