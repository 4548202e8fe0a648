"""Text that no UTF-8 file can hold: JSON may contain half of a character (a lone surrogate), and Python reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xmbench.printable import shown


def half_characters(value: Any, field: str = "") -> Iterator[str]:
    """A line for each key or value of a parsed document that holds half of a character.

    Args:
        value: of json or tomllib.
        field: dotted path of the value.
    """
    if isinstance(value, str):
        if not _is_valid(value):
            yield f"{field or '(the document)'}: half of a character in '{shown(value)}', which no file can hold"
    elif isinstance(value, dict):
        for key, inner in value.items():
            name = f"{field}.{key}" if field else str(key)
            if not _is_valid(str(key)):
                yield f"{shown(name)}: half of a character in the name of a key"
            else:
                yield from half_characters(inner, name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from half_characters(inner, f"{field}.{number}")


def _is_valid(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
