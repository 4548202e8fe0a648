"""Weights that are published at an address: fetched once into the cache directory, and always verified."""

from __future__ import annotations

import hashlib
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

from xmbench.errors import PrerequisiteError
from xmbench.storage.cache import cache_folder
from xmbench.storage.files import make_folder, replacing
from xmbench.storage.locks import locked

PATIENCE_S = 30.0  # for a server that does not answer
LONGEST_S = 1800.0  # for the complete file
_PIECE = 1 << 20


def fetched(address: str, sha256: str, size: int) -> Path:
    """The file of an address in the cache directory, fetched if it is not there.

    Args:
        address: https or http.
        sha256: what its content must have.
        size: its bytes; a longer response is cut off.

    Raises:
        PrerequisiteError: it cannot be reached, or it is another file.
        OutputError: the cache directory cannot be written.
    """
    place = make_folder(cache_folder() / "judges") / f"{sha256}.safetensors"
    with locked(place.with_suffix(".lock"), wait=True):
        if place.is_file() and _digest(place) == sha256:
            return place
        with replacing(place) as temporary:
            found = _fetch(address, temporary, size)
            if found != sha256:
                raise PrerequisiteError(
                    "the judge at this address is not the one of its record",
                    where=address,
                    expected=f"sha256 {sha256}, found {found}",
                    todo="install the version of the judge's package that goes with the recipe",
                )
    return place


def cached(sha256: str) -> Path | None:
    """The fetched file of a digest, or None."""
    place = cache_folder() / "judges" / f"{sha256}.safetensors"
    return place if place.is_file() else None


def _fetch(address: str, to: Path, size: int) -> str:
    """Writes at most `size` bytes (and one, so that a longer file has another digest); returns their sha256."""
    found, left, ends = hashlib.sha256(), size + 1, time.monotonic() + LONGEST_S
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer, to.open("wb") as file:
            while left and (piece := answer.read(min(_PIECE, left))):
                if time.monotonic() > ends:
                    raise TimeoutError(f"not done after {LONGEST_S:.0f} s")
                found.update(piece)
                left -= file.write(piece)
    except (URLError, TimeoutError, ConnectionError) as error:
        raise PrerequisiteError(
            f"the judge's weights cannot be fetched ({error})",
            where=address,
            todo="try again with a network, or leave the metrics that need the judge out with --metrics",
        ) from error
    return found.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
