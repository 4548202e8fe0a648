"""The scale of normalised scores: 0 at the best row that ignores the condition, 1 at the reference itself.

A system that gives the same output for every condition, or a random one, gets no credit on it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from xmbench import content
from xmbench.errors import UnknownNameError
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.formats.result import Score
from xmbench.leaderboard.rows import Row


@dataclass(frozen=True, slots=True)
class Scale:
    """The two ends, as far as a board has them.

    Attributes:
        zero: value of the best uninformed row.
        zero_name: its system.
        one: value of the reference itself.
    """

    zero: float | None = None
    zero_name: str = ""
    one: float | None = None

    def normalised(self, score: Score | None) -> float | None:
        """A score between the two ends; None if one is missing, or the reference is not better than the zero."""
        if score is None or score.value is None or self.zero is None or self.one is None:
            return None
        if self.zero == self.one or (self.one > self.zero) != score.higher_is_better:  # better would score lower
            return None
        return (score.value - self.zero) / (self.one - self.zero)


NO_SCALE = Scale()


def scale_of(rows: Sequence[Row], primary: str) -> Scale:
    """The scale of a board, from verified rows of baselines as they are shipped: no submission declares itself one.

    Args:
        rows: of the board.
        primary: the metric of the scale.
    """
    ends = anchoring({row.baseline for row in rows} - {""})
    zeros = [row for row in rows if _is_end(row, "floor", ends) and row.value(primary) is not None]
    ones = [row for row in rows if _is_end(row, "ceiling", ends) and row.value(primary) is not None]
    best = min(zeros, key=lambda row: _badness(row, primary), default=None)
    return Scale(
        None if best is None else best.value(primary),
        "" if best is None else best.name,
        ones[0].value(primary) if ones else None,
    )


def _is_end(row: Row, kind: str, ends: dict[str, str]) -> bool:
    return row.result.submission.kind == kind == ends.get(row.baseline)


def _badness(row: Row, primary: str) -> float:
    score = row.scores[primary]
    value = float(score.value or 0.0)
    return -value if score.higher_is_better else value


def anchoring(names: Collection[str]) -> dict[str, str]:
    """The baselines among these whose TOML makes them an end of the scale, and which end."""
    found: dict[str, str] = {}
    for name in sorted(names):
        try:
            baseline = load_toml(content.find("baselines", name), Baseline)
        except UnknownNameError:
            continue
        if baseline.anchor:
            found[name] = baseline.anchor
    return found
