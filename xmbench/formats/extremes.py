"""TOML and JSON of others, read: what parses and would still break its reader is refused.

That is depth, dotted keys, numbers beyond 64 bits, keys that stand twice, halves of signs.
"""

from __future__ import annotations

import json
import math
import tomllib
from typing import Any

LARGEST_TOML = 1 << 21  # bytes: people write them
DEEPEST = 50  # tables in tables; ours have seven
_LONGEST_KEY = 200  # parts between dots; the time to read a dotted key grows with their square
_LARGEST_INT = 2**63 - 1


def toml_of(raw: bytes) -> dict[str, Any]:
    """The content of a TOML file, with or without a byte order mark.

    Raises:
        ValueError, RecursionError: no TOML in UTF-8, or one that `refuse_extremes` refuses.
    """
    text = raw.decode("utf-8-sig")
    refuse_long_keys(text)
    data = tomllib.loads(text)
    refuse_extremes(data)
    return data


def json_of(raw: bytes) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError, RecursionError: no JSON, or one that `refuse_extremes` refuses.
    """
    data = json.loads(raw, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_once)
    refuse_extremes(data)
    return data


def _finite(text: str) -> float:
    """Python reads NaN and Infinity, which are no JSON; a score of 1e999 is none either."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is no finite number")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that stands twice, readers of JSON take either one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice")
    return found


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
