"""What parses and still breaks its reader: depth, size, numbers beyond 64 bits, halves of signs."""

from __future__ import annotations

import math
from typing import Any

DEEPEST = 50  # tables in tables; ours have seven
_LONGEST_KEY = 200  # parts between dots; the time to read a dotted key grows with their square
_LARGEST_INT = 2**63 - 1


def refuse_long_keys(text: str) -> None:
    """Refuses TOML whose keys have hundreds of dots, before it is parsed.

    Raises:
        ValueError: it has.
    """
    parts = 0
    for part in text.split("."):
        parts = 0 if any(sign in part for sign in "\n=[]{},") else parts + 1
        if parts > _LONGEST_KEY:
            raise ValueError(f"a key of more than {_LONGEST_KEY} parts")


def refuse_extremes(data: Any) -> None:
    """Refuses parsed data that no document of ours needs, and that what comes later would not survive.

    Raises:
        ValueError: nested too deep, a number that is not finite or needs more than 64 bits, or a text that no UTF-8
            file can hold.
    """
    waiting: list[tuple[Any, int]] = [(data, 0)]
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, (dict, list)):
            if depth > DEEPEST:
                raise ValueError(f"more than {DEEPEST} tables in tables")
            inside = [*part, *part.values()] if isinstance(part, dict) else part
            waiting += [(value, depth + 1) for value in inside]
        else:
            _refuse(part)


def _refuse(value: Any) -> None:
    if isinstance(value, str):
        if not value.isascii():
            value.encode()  # UnicodeEncodeError is a ValueError
    elif isinstance(value, int) and not -_LARGEST_INT <= value <= _LARGEST_INT:
        raise ValueError("a whole number beyond 64 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
