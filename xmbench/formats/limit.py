"""How many items a limited build has: the same number for every split, or one for each split that is named."""

from __future__ import annotations

import re

from pydantic import Field, model_validator

from xmbench.errors import DocumentError, nearest
from xmbench.formats.layout import SPLITS
from xmbench.formats.model import Part

_EXPECTED = "--limit 2000, or by split: --limit test=2000, --limit train=5000,test=2000"
_LARGEST = 10**12


class SplitLimits(Part):
    """Items of the splits that are limited; a split without a number is complete."""

    train: int | None = Field(default=None, ge=1)
    test: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _check(self) -> SplitLimits:
        if self.train is None and self.test is None:
            raise ValueError("no split has a limit")
        return self


Limit = int | SplitLimits | None


def parse_limit(text: str) -> int | SplitLimits:
    """Reads `2000`, `test=2000` or `train=5000,test=2000`.

    Raises:
        DocumentError: not a number of items, an unknown split, or one that is named twice.
    """
    if "=" not in text:
        return _number(text, text)
    found: dict[str, int] = {}
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise _wrong(text, f"'{part.strip()}' names no split")
        if name not in SPLITS:
            raise _wrong(text, f"no split is called '{name}' ({nearest(name, SPLITS)})")
        if name in found:
            raise _wrong(text, f"the split '{name}' is named twice")
        found[name] = _number(number, text)
    return SplitLimits(**found)


def limit_of(limit: Limit, split: str) -> int | None:
    """Items of a split at most; None where it is complete."""
    if isinstance(limit, SplitLimits):
        number: int | None = getattr(limit, split, None)
        return number
    return limit


def by_split(limit: SplitLimits) -> dict[str, int]:
    """Items of each split that is limited, in the order of the splits."""
    return {split: number for split in SPLITS if (number := limit_of(limit, split)) is not None}


def limit_argument(limit: int | SplitLimits) -> str:
    """As `--limit` takes it: `2000`, or `train=5000,test=2000`."""
    if isinstance(limit, SplitLimits):
        return ",".join(f"{split}={number}" for split, number in by_split(limit).items())
    return str(limit)


def limit_name(limit: Limit) -> str:
    """As `limit_argument`, and "none" without a limit."""
    return "none" if limit is None else limit_argument(limit)


def limit_phrase(limit: int | SplitLimits) -> str:
    """For people: "limited to 2,000 items per split", or "limited to 2,000 items of test"."""
    if isinstance(limit, SplitLimits):
        return "limited to " + " and ".join(f"{number:,} items of {split}" for split, number in by_split(limit).items())
    return f"limited to {limit:,} items per split"


def limit_order(limit: Limit) -> tuple[float, str]:
    """Sorts limits by the items of the scored split; complete sets come last."""
    scored = limit_of(limit, "test")
    return (float("inf") if scored is None else scored, "" if limit is None else limit_argument(limit))


def _number(text: str, given: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,15}", text.strip()):
        raise _wrong(given, f"'{text.strip()}' is not a number of items")
    number = int(text)
    if not 1 <= number <= _LARGEST:
        raise _wrong(given, f"the limit is {number}")
    return number


def _wrong(given: str, what: str) -> DocumentError:
    return DocumentError(what, where=f"--limit {given}", expected=f"1 or more items: {_EXPECTED}")
