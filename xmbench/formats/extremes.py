"""Reads TOML and JSON of others, and refuses what parses but would break later code.

That is: deep nesting, long dotted keys, numbers beyond 64 bits, repeated keys. Text that no UTF-8 file can hold is
refused where a document is checked (`text_checks`), by the name of its field.
"""

from __future__ import annotations

import json
import math
import tomllib
from typing import Any

LARGEST_TOML = 1 << 21  # bytes: people write them
DEEPEST = 50  # nested tables; ours have seven
_LONGEST_KEY = 200  # parts between dots; the time to read a dotted key grows with their square
_LARGEST_INT = 2**63 - 1


def toml_of(raw: bytes) -> dict[str, Any]:
    """The content of a TOML file, with or without a byte order mark.

    Raises:
        ValueError, RecursionError: not TOML in UTF-8, or refused by `refuse_extremes`.
    """
    text = raw.decode("utf-8-sig")
    refuse_long_keys(text)
    data = tomllib.loads(text)
    refuse_extremes(data)
    return data


def json_of(raw: bytes) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError, RecursionError: not JSON, or refused by `refuse_extremes`.
    """
    data = json.loads(raw, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_once)
    refuse_extremes(data)
    return data


def _finite(text: str) -> float:
    """Refuses what Python reads and JSON lacks: NaN, Infinity, and numbers beyond a double like 1e999."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuses a repeated key: readers of JSON differ in which one they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return found


def refuse_long_keys(text: str) -> None:
    """Refuses TOML whose keys have hundreds of dots, before it is parsed.

    Raises:
        ValueError: it has such a key.
    """
    parts = 0
    for part in text.split("."):
        parts = 0 if any(character in part for character in "\n=[]{},") else parts + 1
        if parts > _LONGEST_KEY:
            raise ValueError(f"a key of more than {_LONGEST_KEY} parts")


def refuse_extremes(data: Any) -> None:
    """Refuses parsed data that no document of ours needs and that would break later code.

    Raises:
        ValueError: nested too deep, or a number that is not finite or needs more than 64 bits.
    """
    waiting: list[tuple[Any, int]] = [(data, 0)]
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, (dict, list)):
            if depth > DEEPEST:
                raise ValueError(f"more than {DEEPEST} nested tables")
            inside = part.values() if isinstance(part, dict) else part
            waiting += [(value, depth + 1) for value in inside]
        else:
            _refuse(part)


def _refuse(value: Any) -> None:
    if isinstance(value, int) and not -_LARGEST_INT <= value <= _LARGEST_INT:
        raise ValueError("an integer beyond 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
