"""Expected scores in the text of a baseline's file: comments, order and every other line stay as people wrote them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

from xmbench.errors import DocumentError
from xmbench.formats.baseline import Expected

_HEAD = re.compile(r"\s*\[\[\s*expected\s*\]\]\s*(#.*)?$")
_TABLE = re.compile(r"\s*\[")
_NO_CONTENT = re.compile(r"\s*(#.*)?$")


def with_expected(text: str, expected: Sequence[Expected]) -> str:
    """The text of a baseline's TOML file with these `[[expected]]` tables.

    One of the same track, preset and metric is replaced where it is; others are added behind the last one, or at the
    end.

    Raises:
        DocumentError: the text is written in a way that cannot be edited line by line (`expected` as an inline array).
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.replace("\r\n", "\n").split("\n")
    new = {_key(item.model_dump()): item for item in expected}
    left = dict(new)
    end: int | None = None
    for start, stop in reversed(list(_tables(lines))):
        end = stop if end is None else end
        key = _key_of(lines[start:stop])
        item = None if key is None else left.pop(key, None)
        if item is not None:
            made = _table(item)
            lines[start:stop] = made
            end += len(made) - (stop - start)
    added = [line for item in left.values() for line in ("", *_table(item))]
    if end is None:
        while lines and not lines[-1].strip():
            lines.pop()
        lines += [*added, ""]
    else:
        lines[end:end] = added
    made_text = newline.join(lines)
    _require_only_these_changed(text, made_text, new)
    return made_text


def _tables(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """First line and end of each `[[expected]]` table; blank lines and comments behind it belong to what follows."""
    for start, line in enumerate(lines):
        if _HEAD.match(line):
            stop = next((n for n in range(start + 1, len(lines)) if _TABLE.match(lines[n])), len(lines))
            while _NO_CONTENT.match(lines[stop - 1]):
                stop -= 1
            yield start, stop


def _key_of(lines: Sequence[str]) -> tuple[str, str, str] | None:
    try:
        return _key(tomllib.loads("\n".join(lines))["expected"][0])
    except tomllib.TOMLDecodeError:  # it is part of a text of several lines
        return None


def _key(table: dict[str, Any]) -> tuple[str, str, str]:
    return str(table.get("track")), str(table.get("preset", "")), str(table.get("metric"))


def _table(item: Expected) -> list[str]:
    values = {key: value for key, value in item.model_dump().items() if value != ""}
    return ["[[expected]]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())]


def _require_only_these_changed(before: str, after: str, new: dict[tuple[str, str, str], Expected]) -> None:
    """Raises where the edited text does not say exactly what was asked for."""
    try:
        old, found = tomllib.loads(before), tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        old, found = {}, {"expected": []}
    kept = [item for item in old.pop("expected", []) if _key(item) not in new]
    tables = found.pop("expected", [])
    stated = {_key(item): item for item in tables}
    unchanged = [item for item in tables if _key(item) not in new] == kept and len(stated) == len(tables)
    if old != found or not unchanged or any(_differs(stated.get(key), item) for key, item in new.items()):
        raise DocumentError(
            "the expected scores cannot be written into this file line by line",
            expected="each of them as an [[expected]] table of its own, once",
            todo="write them by hand:\n" + "\n".join(line for item in new.values() for line in ("", *_table(item))),
        )


def _differs(table: dict[str, Any] | None, item: Expected) -> bool:
    return table is None or Expected.model_validate(table) != item
