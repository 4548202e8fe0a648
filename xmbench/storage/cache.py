"""The directory that several builds share: downloads and spoken words."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from xmbench.errors import OutputError
from xmbench.storage.files import expanded, make_folder

CACHE_VARIABLE = "XMBENCH_CACHE"


def cache_folder() -> Path:
    """Where downloads and spoken words are kept: `$XMBENCH_CACHE`, or the user's cache directory.

    Raises:
        OutputError: it cannot be written.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    folder = expanded(chosen) if chosen else _user_cache() / "xmbench"
    try:
        return make_folder(folder)
    except OutputError as error:
        raise OutputError(
            f"the cache directory cannot be used: {error.what}",
            where=folder,
            todo=f"set {CACHE_VARIABLE} to a directory that can be written",
        ) from error


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
