"""Printing: control characters are shown, not executed, and every encoding works."""

from __future__ import annotations

import codecs
import os
import sys
from typing import IO, Any

from xmbench.printable import plain, visible

_ERRORS = "xmbench-plain"


def prepare() -> None:
    """From now on a character that the encoding lacks is replaced by another one."""
    codecs.register_error(_ERRORS, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # None where it was closed
            stream.reconfigure(errors=_ERRORS)


def print(*values: object, sep: str = " ", end: str = "\n", file: IO[str] | None = None, flush: bool = False) -> None:
    """As the built-in one; control characters, which a terminal would execute, are written out."""
    stream: Any = sys.stdout if file is None else file
    if stream is None:
        return
    stream.write(visible(sep.join(map(str, values))) + end)
    if flush:
        stream.flush()


def flush() -> None:
    """Flushes the standard output, so that a full disk behind it is an error here and not at the exit."""
    if sys.stdout is not None:
        sys.stdout.flush()


def abandon_output() -> None:
    """Flushes, or drops what cannot be written, so that the interpreter does not complain at exit."""
    try:
        flush()
    except (OSError, ValueError):
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device, not a file of a user
            os.dup2(nowhere.fileno(), 1)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end
