"""What a row states beside its scores: its classifier's accuracy, minutes, parameters, threads and machine.

Nothing of it is checked or ranked. Rows that the tool makes (bounds and references) have none of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from xmbench.formats.submission import Submission
from xmbench.leaderboard.board import Board
from xmbench.leaderboard.rows import RANKED, Row

ACCURACIES = (  # the first that a board has is beside `head`
    *("word-accuracy-agreed", "word-accuracy", "image-accuracy"),
    *("instrument-accuracy-agreed", "instrument-accuracy"),
)
_LONGEST_MACHINE = 28


@dataclass(frozen=True, slots=True)
class Stated:
    """One column: what each run states, as a number or as text.

    Attributes:
        number: of a run; None where it is not stated. A row shows the mean over its runs.
        text: of a number; None where every run's own `words` are shown.
        words: of a run; "" where they are not stated.
        better: which end of the column sorting shows first.
    """

    name: str
    number: Callable[[Submission], float | None]
    text: Callable[[float], str] | None = None
    words: Callable[[Submission], str] = str
    better: str = "low"

    def value(self, row: Row) -> float | None:
        """Of a row: the mean over its runs; None if one of them does not state it, or the row has none of this."""
        if row.result.submission.kind not in RANKED:
            return None
        found = [self.number(run.submission) for run in row.runs]
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if len(known) == len(found) else None

    def shown(self, row: Row) -> str:
        """The text of a row's cell; "" for nothing."""
        if row.result.submission.kind not in RANKED:
            return ""
        if self.text is None:
            return " / ".join(filter(None, dict.fromkeys(self.words(run.submission) for run in row.runs)))
        value = self.value(row)
        return "" if value is None else self.text(value)


def minutes(made: Submission) -> float | None:
    """Of the training, all pieces together."""
    return None if made.training_seconds is None else made.training_seconds / 60.0


def minutes_text(value: float) -> str:
    """Minutes with one digit below ten, which a minute would hide."""
    return f"{value:.1f}" if value < 10.0 else f"{value:,.0f}"


def count_text(value: float) -> str:
    """A number of weights with three digits: `950`, `12.3 k`, `1.25 M`."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= 0.9995 * unit:
            part = value / unit
            return f"{part:.{2 if part < 9.995 else 1 if part < 99.95 else 0}f}{name}"
    return f"{value:.0f}"


def machine(made: Submission) -> str:
    """The hardware in a few words: `CPU, 2 cores`; its full text is in the details."""
    text = re.sub(r"^(?:x86_64|aarch64|arm64|AMD64) CPU\b", "CPU", made.hardware)
    return text if len(text) <= _LONGEST_MACHINE else f"{text[: _LONGEST_MACHINE - 1].rstrip()}…"


_COLUMNS = (
    Stated("head", lambda made: made.head_accuracy, "{:.4f}".format, better="high"),
    Stated("minutes", minutes, minutes_text),
    Stated("parameters", lambda made: made.parameters, count_text),
    Stated("threads", lambda made: made.threads, words=lambda made: "" if made.threads is None else str(made.threads)),
    Stated("machine", lambda _made: None, words=machine),
)


def stated_by(board: Board) -> list[Stated]:
    """The columns of a board: those that some row states."""
    return [column for column in _COLUMNS if any(column.shown(row) for row in board.rows)]


def first_metrics(board: Board) -> list[str]:
    """The metrics that stand before what rows state: the primary one, and the accuracy to read beside `head`."""
    accuracy = [name for name in ACCURACIES if name in board.metrics][:1]
    return list(dict.fromkeys((board.primary, *accuracy)))


def other_metrics(board: Board) -> list[str]:
    """The metrics that stand behind it."""
    first = first_metrics(board)
    return [name for name in board.metrics if name not in first]
