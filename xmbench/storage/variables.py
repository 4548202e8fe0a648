"""Settings that come from environment variables."""

from __future__ import annotations

import os

from xmbench.errors import DocumentError


def number_of(variable: str, usual: float) -> float:
    """The number that a variable holds, 0 or more; `usual` where it is not set or empty.

    Raises:
        DocumentError: it is not such a number.
    """
    text = os.environ.get(variable, "")
    try:
        value = float(text) if text else usual
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise DocumentError(f"{variable} is '{text}'", expected=f"a number from 0 on, like {usual:g}")
    return value
