"""How long-running work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

# Called with one line of text at a time.
Progress = Callable[[str], None]


def silent(line: str) -> None:
    """Progress that is not shown."""
