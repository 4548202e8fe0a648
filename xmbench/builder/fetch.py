"""Upstream files: from a local folder or from their mirrors, checked before anything reads them.

The one module that downloads (`mirror` names addresses on the Hub). A file is right when its *uncompressed*
content has the size and sha256 of the recipe: a re-compressed copy is as good as the first.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from xmbench.builder.lock import cache_folder, locked
from xmbench.builder.mirror import HubMirror
from xmbench.errors import UpstreamError
from xmbench.formats.files import make_folder, writing
from xmbench.formats.recipe import FileSpec, Recipe, SourceSpec

TIMEOUT_S = 30.0
TRIES = 3
PAUSE_S = 1.0
_CHUNK = 1 << 18
_GZIP = b"\x1f\x8b"
Report = Callable[[str], None]


class _WrongContentError(Exception):
    """A file that is not the published one; the text says why."""


class VerifiedFiles:
    """The files of one source, each at a known path (`Upstream`). Picklable; content is checked on each read."""

    def __init__(self, title: str, specs: tuple[FileSpec, ...], paths: Mapping[str, Path]) -> None:
        self._title = title
        self._specs = {spec.name: spec for spec in specs}
        self._paths = dict(paths)
        self._last: tuple[str, bytes] = ("", b"")

    def __reduce__(self) -> tuple[object, ...]:
        """Everything but the content."""
        return VerifiedFiles, (self._title, tuple(self._specs.values()), self._paths)

    def names(self) -> tuple[str, ...]:
        """Names of the files, as the recipe lists them."""
        return tuple(self._specs)

    def read(self, name: str) -> bytes:
        """The uncompressed content of one file; the last one read stays in memory.

        Raises:
            UpstreamError: the recipe does not list it, or it has changed since it was checked.
        """
        if name not in self._specs:
            raise UpstreamError(
                f"{self._title} needs a file that the recipe does not list", where=name,
                expected=f"among {', '.join(self._specs) or 'its files (there are none)'}",
            )  # fmt: skip
        if self._last[0] != name:
            try:
                self._last = (name, content(self._paths[name], self._specs[name]))
            except _WrongContentError as error:
                raise UpstreamError(str(error), where=self._paths[name], todo="fetch the file again") from error
        return self._last[1]


def obtain(
    recipe: Recipe, place: Path | HubMirror | None, *, offline: bool, report: Report
) -> dict[str, VerifiedFiles]:
    """Finds or downloads every upstream file of a recipe, and checks all of them.

    Args:
        recipe: its `sources` list the files.
        place: take the files from this folder or this repository of the Hub (published names, compressed or not)
            instead of the recipe's addresses.
        offline: use only what was downloaded before.
        report: called with lines of progress.

    Returns:
        The files of each source, by the source's name in the recipe.

    Raises:
        UpstreamError: files are missing, wrong or unreachable; every one is listed.
    """
    problems: list[str] = []
    found: dict[str, VerifiedFiles] = {}
    for role, source in recipe.sources.items():
        paths: dict[str, Path] = {}
        for spec in source.files:
            try:
                if isinstance(place, Path):
                    paths[spec.name] = _local(place, spec)
                else:
                    paths[spec.name] = _cached(source, spec, place, offline, report)
            except _WrongContentError as error:
                problems.append(str(error))
        found[role] = VerifiedFiles(source.title, source.files, paths)
    if problems:
        raise UpstreamError(
            f"{len(problems)} upstream file(s) of {recipe.name} cannot be used",
            where=place, expected="the published files, as they are or as .gz", problems=problems,
            todo="fetch them again, or name a folder that has them: --source DIR",
        )  # fmt: skip
    return found


def content(path: Path, spec: FileSpec) -> bytes:
    """The uncompressed content of a file, checked; raises _WrongContentError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _WrongContentError(f"{path.name}: cannot be read ({error.strerror})") from error
    if data[:2] == _GZIP and len(data) != spec.bytes:
        data = _unpack(data, path.name, spec.bytes)
    elif data[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise _WrongContentError(f"{path.name}: a web page instead of the file (a login or quota page?)")
    if len(data) != spec.bytes:
        more = "more than " if len(data) > spec.bytes else ""
        short = min(len(data), spec.bytes)
        raise _WrongContentError(
            f"{path.name}: {more}{short} bytes uncompressed, expected {spec.bytes}: "
            + ("not this file" if more else "the file is cut off, or another one")
        )
    digest = hashlib.sha256(data).hexdigest()
    if digest != spec.sha256:
        raise _WrongContentError(f"{path.name}: sha256 {digest} of the uncompressed bytes, expected {spec.sha256}")
    return data


def _unpack(data: bytes, name: str, wanted: int) -> bytes:
    try:
        unpacker = zlib.decompressobj(wbits=31)
        unpacked = unpacker.decompress(data, wanted + 1)
        if len(unpacked) <= wanted and not unpacker.eof:
            raise EOFError("the file ends in the middle")
        return unpacked
    except (zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise _WrongContentError(f"{name}: damaged gzip file ({error})") from error


def _local(folder: Path, spec: FileSpec) -> Path:
    """The path of a file in a folder, checked."""
    names = (spec.name, f"{spec.name}.gz")
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise _WrongContentError(f"{spec.name}: missing (looked for {' and '.join(names)} in {folder})")
    content(path, spec)
    return path


def _cached(source: SourceSpec, spec: FileSpec, mirror: HubMirror | None, offline: bool, report: Report) -> Path:
    """The path of a file in the cache, downloaded if need be, checked."""
    folder = make_folder(cache_folder() / "upstream" / spec.sha256[:16])
    path = folder / spec.name
    with locked(folder / "lock", wait=True):
        if path.is_file():
            try:
                content(path, spec)
                return path
            except _WrongContentError as error:
                report(f"{spec.name}: the copy in the cache is wrong, fetching it again ({error})")
                path.unlink()
        if mirror is None and not spec.urls:
            raise _WrongContentError(f"{spec.name}: {source.title} has no download address: use --source DIR")
        if offline:
            raise _WrongContentError(f"{spec.name}: not in the cache, and --offline forbids to fetch it")
        _download(spec, path, mirror, report)
    return path


def _download(spec: FileSpec, path: Path, mirror: HubMirror | None, report: Report) -> None:
    """Tries each address in turn; what comes is checked before it gets its name."""
    urls = mirror.urls(spec) if mirror else spec.urls
    problems = [] if urls else [f"{mirror} has no file of this name, compressed or not"]
    for url in urls:
        # One part file per mirror: their compressed bytes may differ.
        part = path.with_name(f"{spec.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")
        report(f"fetching {url}")
        try:
            _transfer(url, mirror.headers(url) if mirror else {}, part, report)
            content(part, spec)
        except _WrongContentError as error:
            part.unlink(missing_ok=True)
            problems.append(f"{url}: {error}")
        except (OSError, http.client.HTTPException) as error:
            problems.append(f"{url}: {_reason(error)}")
        else:
            with writing(path.parent):
                part.replace(path)
            return
    raise _WrongContentError(f"{spec.name}: no mirror gave it: {'; '.join(problems)}")


def _transfer(url: str, headers: Mapping[str, str], part: Path, report: Report) -> None:
    """Downloads into `part`, going on where an earlier try stopped; a few tries."""
    if not url.startswith(("https://", "http://")):
        raise _WrongContentError("no http(s) address")
    for attempt in range(TRIES):
        try:
            return _receive(url, headers, part, report)
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


def _receive(url: str, headers: Mapping[str, str], part: Path, report: Report) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "xmbench"})
    for name, value in headers.items():
        request.add_unredirected_header(name, value)  # the Hub redirects to other hosts, which get no token
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        resumed = answer.status == http.client.PARTIAL_CONTENT
        got = have if resumed else 0
        total = got + int(answer.headers.get("Content-Length") or 0)
        told = time.monotonic()
        with part.open("ab" if resumed else "wb") as handle:
            while chunk := answer.read(_CHUNK):
                with writing(part.parent):
                    handle.write(chunk)
                got += len(chunk)
                if time.monotonic() - told > 2.0:
                    told = time.monotonic()
                    report(f"  {got / 1e6:.1f} of {total / 1e6:.1f} MB")
    if total > got:
        raise http.client.IncompleteRead(b"", total - got)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"unreachable ({error.reason})"
    return f"the transfer broke off ({error})"
