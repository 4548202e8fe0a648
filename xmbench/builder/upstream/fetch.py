"""Upstream files: from a local directory, a mirror or an archive, checked before they are read.

A `Mirror` has other addresses; `verified` checks a file, `transfer` bounds a download.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import time
import urllib.error
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from xmbench.builder.upstream.archives import DamagedArchiveError, extract_file, extract_folder
from xmbench.builder.upstream.contents import LARGEST_CHANGED, check, largest_packed
from xmbench.builder.upstream.transfer import TooSlowError, receive
from xmbench.builder.upstream.verified import (
    Piece,
    VerifiedFiles,
    WrongContentError,
    file_at,
    folder_at,
    located,
    wanted_files,
)
from xmbench.errors import DocumentError, UpstreamError
from xmbench.execution.progress import Progress
from xmbench.formats.recipe import FileSpec, Recipe, SourceSpec
from xmbench.storage.cache import cache_folder
from xmbench.storage.files import make_folder, writing
from xmbench.storage.locks import locked

TRIES = 3
PAUSE_S = 1.0

__all__ = ["Mirror", "VerifiedFiles", "in_cache", "obtain"]


class Mirror(Protocol):
    """Another source of the same files than the recipe's addresses, like a repository on the Hub.

    Attributes:
        origin: for the manifest: the name, and the revision that was read.
    """

    @property
    def origin(self) -> str: ...

    def urls(self, spec: FileSpec) -> tuple[str, ...]:
        """Addresses of a file of that name, plain and compressed; raises UpstreamError where it cannot be reached."""
        ...

    def headers(self, url: str) -> dict[str, str]:
        """Headers of a request for `url`; not sent with requests that it is redirected to."""
        ...


@dataclass(frozen=True, slots=True)
class _Ask:
    """The user's options, and the progress callback."""

    offline: bool
    accept_changed: bool
    progress: Progress


def obtain(
    recipe: Recipe, place: Path | Mirror | None, *, offline: bool, progress: Progress, accept_changed: bool = False
) -> dict[str, VerifiedFiles]:
    """Finds or downloads every upstream file of a recipe, and checks all of them.

    Args:
        recipe: its `sources` list the files.
        place: take the files from this directory or this repository of the Hub (published names, compressed or not)
            instead of the recipe's addresses. Of several published forms, the one in the directory is used.
        offline: use only files that were downloaded before.
        progress: called with lines of progress.
        accept_changed: take files of a directory whose content is not the published one, and mark them.

    Returns:
        The files of each source, by the source's name in the recipe.

    Raises:
        UpstreamError: files are missing, wrong or unreachable; every one is listed.
        DocumentError: changed files are accepted, but no directory is given.
    """
    if accept_changed and not isinstance(place, Path):
        raise DocumentError(
            "changed files are only accepted from a directory",
            where="--accept-changed-sources",
            expected="--source DIR",
        )
    found, problems = _all(recipe, place, _Ask(offline, accept_changed, progress))
    if problems:
        raise UpstreamError(
            f"{len(problems)} upstream file(s) of {recipe.name} cannot be used",
            where=place,
            expected="the published files, as they are or as .gz",
            problems=problems,
            todo="fetch them again, or give a directory that has them: --source DIR (copies that are known to be "
            "re-encoded or re-ordered: with --accept-changed-sources)",
        )
    for role, files in found.items():
        if files.changed:
            progress(f"{role}: not the published bytes: {', '.join(files.changed)}")
    return found


def _all(recipe: Recipe, place: Path | Mirror | None, ask: _Ask) -> tuple[dict[str, VerifiedFiles], list[str]]:
    """The files of each source, and the problems of all of them."""
    problems: list[str] = []
    found: dict[str, VerifiedFiles] = {}
    for role, source in recipe.sources.items():
        pieces = []
        for spec in wanted_files(source, place if isinstance(place, Path) else None):
            try:
                pieces.append(_piece(source, spec, place, ask))
            except WrongContentError as error:
                problems.append(str(error))
        found[role] = VerifiedFiles(source.title, pieces, ask.offline, ask.progress)
    return found, problems


def _piece(source: SourceSpec, spec: FileSpec, place: Path | Mirror | None, ask: _Ask) -> Piece:
    """One entry of a recipe's `files`, found and checked."""
    found_at = folder_at if spec.kind == "folder" else file_at
    if not isinstance(place, Path):
        return found_at(_cached(source, spec, place, ask), spec)
    path = located(place, spec)
    if path is not None:
        return found_at(path, spec, ask.accept_changed)
    archive = _archive(source, spec)
    packed = located(place, archive) if archive else None
    if archive and packed:
        check(packed, archive)
        return found_at(_unpacked(packed, spec), spec)
    names = [spec.name, *([f"{spec.name}.gz"] if spec.kind == "file" else []), *([archive.name] if archive else [])]
    raise WrongContentError(f"{spec.name}: missing (looked for {' and '.join(names)} in {place})")


def _archive(source: SourceSpec, spec: FileSpec) -> FileSpec | None:
    return next((archive for archive in source.archives if archive.name == spec.archive), None)


def in_cache(spec: FileSpec) -> bool:
    """Whether the cache holds a file or directory, unchecked."""
    return (_place(spec) / PurePosixPath(spec.name).name).exists()


def _place(spec: FileSpec) -> Path:
    key = spec.sha256 or hashlib.sha256(" ".join((spec.name, *spec.urls)).encode()).hexdigest()
    return cache_folder() / "upstream" / key[:16]


def _home(spec: FileSpec) -> Path:
    """Directory of one upstream file in the cache."""
    return make_folder(_place(spec))


def _cached(source: SourceSpec, spec: FileSpec, mirror: Mirror | None, ask: _Ask) -> Path:
    """The path of a file or directory in the cache, fetched if missing, checked."""
    path = _home(spec) / PurePosixPath(spec.name).name
    archive = _archive(source, spec) if mirror is None else None
    if archive:
        with contextlib.suppress(WrongContentError):
            if _is_right(path, spec):
                return path
        packed = _cached(source, archive, None, ask)
        try:
            return _unpacked(packed, spec)
        except WrongContentError:
            packed.unlink(missing_ok=True)  # otherwise an archive without sha256 cannot be checked
            raise
    with locked(path.parent / "lock", wait=True):
        if path.is_file():
            try:
                check(path, spec)
                return path
            except WrongContentError as error:
                ask.progress(f"{spec.name}: the copy in the cache is wrong, fetching it again ({error})")
                path.unlink()
        if spec.kind == "folder" or (mirror is None and not spec.urls):
            raise WrongContentError(f"{spec.name}: {source.title} has no download address: use --source DIR")
        if ask.offline:
            raise WrongContentError(f"{spec.name}: not in the cache, and --offline forbids fetching it")
        _download(spec, path, mirror, ask.progress)
    return path


def _is_right(path: Path, spec: FileSpec) -> bool:
    """Whether a file or directory exists and is right; raises WrongContentError where it is wrong."""
    if not path.exists():
        return False
    return bool((folder_at if spec.kind == "folder" else file_at)(path, spec))


def _unpacked(packed: Path, spec: FileSpec) -> Path:
    """Path in the cache of a file or directory of an archive, unpacked if missing, checked."""
    path = _home(spec) / PurePosixPath(spec.name).name
    with locked(path.parent / "lock", wait=True):
        with contextlib.suppress(WrongContentError):
            if _is_right(path, spec):
                return path
        try:
            (extract_folder if spec.kind == "folder" else extract_file)(packed, spec, path)
        except DamagedArchiveError as error:
            raise WrongContentError(str(error)) from error
        _is_right(path, spec)
    return path


def _download(spec: FileSpec, path: Path, mirror: Mirror | None, progress: Progress) -> None:
    """Tries each address in turn; a download is checked before it gets its name."""
    urls = mirror.urls(spec) if mirror else spec.urls
    problems = [] if urls else [f"{mirror} has no file of this name, compressed or not"]
    for url in urls:
        # One part file per mirror: their compressed bytes may differ.
        part = path.with_name(f"{path.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")
        progress(f"fetching {url}")
        try:
            _transfer(url, mirror.headers(url) if mirror else {}, part, _largest(spec), progress)
            check(part, spec)
        except WrongContentError as error:
            part.unlink(missing_ok=True)
            problems.append(f"{url}: {error}")
        except TooSlowError as error:
            problems.append(f"{url}: {error}; the part is kept: the same command resumes from there")
        except (OSError, http.client.HTTPException, ValueError) as error:
            problems.append(f"{url}: {_reason(error)}")
        else:
            with writing(path.parent):
                part.replace(path)
            return
    raise WrongContentError(f"{spec.name}: no mirror has it: {'; '.join(problems)}")


def _largest(spec: FileSpec) -> int:
    """Largest size of a download in bytes."""
    return largest_packed(spec.bytes) if spec.bytes else LARGEST_CHANGED


def _transfer(url: str, headers: Mapping[str, str], part: Path, largest: int, progress: Progress) -> None:
    """Downloads into `part`, resuming an earlier try; a few tries."""
    if not url.startswith(("https://", "http://")):
        raise WrongContentError("not an http(s) address")
    for attempt in range(TRIES):
        try:
            return receive(url, headers, part, largest, progress)
        except urllib.error.HTTPError as error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code != http.client.TOO_MANY_REQUESTS:
                raise
            if attempt == TRIES - 1:
                raise
        except (OSError, http.client.HTTPException):
            if attempt == TRIES - 1:
                raise
        time.sleep(PAUSE_S * 2**attempt)
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"unreachable ({error.reason})"
    return f"the transfer was interrupted ({error})"
