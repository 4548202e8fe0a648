"""Plain aligned tables and progress lines for the terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from xmbench.cli import terminal
from xmbench.printable import visible


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell; columns of numbers are right-aligned."""
    grid = [[visible(" ".join(cell.split("\n"))) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[i]) for row in grid) for i in range(len(heads))]
    right = [all(_numeric(row[i]) for row in rows) and bool(rows) for i in range(len(heads))]
    lines = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in grid
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _numeric(text: str) -> bool:
    return not text or text[0].isdigit() or text[0] in "-–+."


class Progress:
    """One line that is rewritten on a terminal; elsewhere a plain line every few seconds."""

    def __init__(self, interval_s: float = 5.0) -> None:
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._interval_s = 0.1 if self._terminal else interval_s
        self._last = time.monotonic() if not self._terminal else 0.0
        self._width = 0

    def show(self, text: str) -> None:
        """Shows a line, at most once per interval."""
        now = time.monotonic()
        if now - self._last < self._interval_s:
            return
        self._last, text = now, visible(" ".join(text.split("\n")))
        if self._terminal:
            print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Clears the line on a terminal."""
        if self._terminal and self._width:
            print(f"\r{'':<{self._width}}\r", end="", file=sys.stderr, flush=True)


class Lines:
    """Lines of the standard output, and on a terminal below them one that is rewritten."""

    def __init__(self) -> None:
        self._below = Progress() if sys.stderr is not None and sys.stderr.isatty() else None
        self.status = self._below.show if self._below is not None else None

    def add(self, line: str) -> None:
        """Prints a line that stays."""
        if self._below is not None:
            self._below.close()
        terminal.print(line, flush=True)

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        if self._below is not None:
            self._below.close()
