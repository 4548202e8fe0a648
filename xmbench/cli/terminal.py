"""What is printed on a terminal: every sign shown, none obeyed, on any encoding."""

from __future__ import annotations

import codecs
import os
import sys
from typing import IO, Any

from xmbench.printable import plain, visible

_ERRORS = "xmbench-plain"


def prepare() -> None:
    """From now on an encoding that lacks a sign gets another one."""
    codecs.register_error(_ERRORS, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # None where it was closed
            stream.reconfigure(errors=_ERRORS)


def print(*values: object, sep: str = " ", end: str = "\n", file: IO[str] | None = None, flush: bool = False) -> None:
    """As the built-in one; control signs in names and details, which a terminal would obey, are written out."""
    stream: Any = sys.stdout if file is None else file
    if stream is None:
        return
    stream.write(visible(sep.join(map(str, values))) + end)
    if flush:
        stream.flush()


def flush() -> None:
    """Writes what waits on the standard output; a full disk behind it is met here and not at the exit."""
    if sys.stdout is not None:
        sys.stdout.flush()


def abandon_output() -> None:
    """Flushes, or drops what cannot be written, so that the interpreter does not complain of it at its end."""
    try:
        flush()
    except (OSError, ValueError):
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device, not a file of anybody
            os.dup2(nowhere.fileno(), 1)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end
