"""Weights of annotators as a user gives them: a file, or an address with a sha256; found, fetched and checked."""

from __future__ import annotations

import hashlib
import http.client
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xmbench import registry
from xmbench.builder.upstream.contents import WrongContentError
from xmbench.builder.upstream.transfer import TooSlowError, receive
from xmbench.errors import DocumentError, PrerequisiteError
from xmbench.execution.progress import Progress
from xmbench.interfaces import AnnotatorKind, PublishedWeights
from xmbench.storage.cache import cache_folder
from xmbench.storage.files import expanded, make_folder
from xmbench.storage.locks import locked
from xmbench.storage.sizes import size_text

_LARGEST = 1 << 31
_SHA256 = re.compile(r"#sha256=([0-9a-f]{64})$")
_FORM = "NAME=FILE, NAME=FILE#sha256=HEX or NAME=https://...#sha256=HEX"


@dataclass(frozen=True, slots=True)
class Chosen:
    """An annotator with the file of its weights, checked."""

    name: str
    modality: str
    path: Path
    sha256: str


def parsed(given: Sequence[str]) -> dict[str, str]:
    """Values of `--weights`, by the name of the annotator.

    Raises:
        DocumentError: not of the form, or an annotator twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name or not value or name in found:
            raise DocumentError(
                f"{text[:80]!r} names no weights", where="--weights", expected=f"{_FORM}, each name once"
            )
        found[name] = value
    return found


def chosen(names: Sequence[str], given: Mapping[str, str], *, offline: bool, progress: Progress) -> tuple[Chosen, ...]:
    """The annotators of a harvest with their weights.

    Raises:
        UnknownNameError: no such annotator.
        DocumentError: weights for an annotator that is not used, or an address without a sha256.
        PrerequisiteError: weights that are missing, wrong or unreachable; all of them at once.
    """
    if unused := sorted(given.keys() - set(names)):
        raise DocumentError(
            f"weights for {', '.join(unused)}, which this harvest does not use",
            where="--weights",
            expected=", ".join(names),
        )
    found, problems = [], []
    for name in names:
        kind = registry.annotator(name)
        try:
            found.append(_one(kind, given.get(name), offline, progress))
        except PrerequisiteError as error:
            if len(names) == 1:
                raise
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise PrerequisiteError(
            f"the weights of {len(problems)} annotators cannot be used",
            problems=[line.strip() for error in problems for line in str(error).splitlines()],
        )
    return tuple(found)


def _one(kind: AnnotatorKind, given: str | None, offline: bool, progress: Progress) -> Chosen:
    if given is None:
        if kind.shipped is None:
            raise _missing(kind)
        return Chosen(kind.name, kind.modality, kind.shipped, sha256_of(kind.shipped))
    named = _SHA256.search(given)
    place, wanted = (given[: named.start()], named[1]) if named else (given, "")
    if place.startswith(("https://", "http://")):
        if not wanted:
            raise DocumentError(
                f"weights at an address need their sha256: {place[:200]}", where="--weights", expected=_FORM
            )
        path = _fetched(place, wanted, offline, progress)
    else:
        path = expanded(place).absolute()
        if not path.is_file():
            raise _missing(kind, path)
    sha256 = sha256_of(path)
    if wanted and sha256 != wanted:
        raise PrerequisiteError(
            f"the weights of {kind.name} are another file",
            where=path,
            expected=f"sha256 {wanted}, found {sha256}",
            todo="fetch the file again",
        )
    published = {weights.sha256 for weights in kind.published if weights.sha256}
    if published and sha256 not in published:
        progress(f"{kind.name}: not a published file of weights (sha256 {sha256[:16]}...); what it is, only you know")
    return Chosen(kind.name, kind.modality, path, sha256)


def _missing(kind: AnnotatorKind, path: Path | None = None) -> PrerequisiteError:
    return PrerequisiteError(
        f"the weights of {kind.name} are {'not there' if path else 'not given'}",
        where=path,
        expected="; ".join(map(_told, kind.published)),
        todo=f"--weights {kind.name}=FILE",
    )


def _told(weights: PublishedWeights) -> str:
    size = f", {size_text(weights.bytes)}" if weights.bytes else ""
    digest = f", sha256 {weights.sha256}" if weights.sha256 else ""
    return f"{weights.file} ({weights.address}{size}{digest}; {weights.licence})"


def sha256_of(path: Path) -> str:
    """sha256 of a file, hexadecimal; raises PrerequisiteError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PrerequisiteError(f"the weights cannot be read ({error.strerror})", where=path) from error


def _fetched(address: str, sha256: str, offline: bool, progress: Progress) -> Path:
    """The file of an address in the cache, fetched if it is not there; checked by the caller."""
    name = address.rpartition("/")[2].partition("?")[0] or "weights"
    place = make_folder(cache_folder() / "weights" / sha256) / name
    with locked(place.with_name("lock"), wait=True):
        if place.is_file() and sha256_of(place) == sha256:
            return place
        if offline:
            raise PrerequisiteError(
                "the weights are not in the cache, and --offline forbids fetching them", where=address
            )
        part = place.with_name(f"{name}.part")
        try:
            receive(address, {}, part, _LARGEST, progress)
        except (WrongContentError, OSError, http.client.HTTPException, ValueError, TooSlowError) as error:
            raise PrerequisiteError(
                f"the weights cannot be fetched ({str(error)[:200]})", where=address, todo="try again, or give a file"
            ) from error
        part.replace(place)
    return place
