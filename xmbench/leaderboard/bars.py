"""A score's interval as a bar on the scale of its board."""

from __future__ import annotations

from xmbench.formats.result import Score
from xmbench.leaderboard.board import Board

_WIDTH = 150
_HEIGHT = 16


def interval_bar(score: Score, board: Board, *, titles: bool = True) -> str:
    """A score's interval on the board's scale, with the two marks between which scores are normalised, as SVG.

    Without `titles` the marks do not tell their values, and the bar takes two thirds of the bytes.
    """
    low, high = _span(board)

    def x(value: float) -> float:
        return round(4 + (_WIDTH - 8) * min(1.0, max(0.0, (value - low) / (high - low))), 1)

    value = float(score.value or 0.0)
    start, end = x(value if score.low is None else score.low), x(value if score.high is None else score.high)
    ends = (("normalised 0:", board.scale.zero), ("normalised 1:", board.scale.one))
    known = [(name, mark, f"M{x(mark):g} 1V{_HEIGHT - 1}") for name, mark in ends if mark is not None]
    if titles:
        marks = "".join(
            f'<path class=mark d="{line}"><title>{name} {mark:.4f}</title></path>' for name, mark, line in known
        )
    else:
        marks = f'<path class=mark d="{"".join(line for *_, line in known)}"/>' if known else ""
    half = _HEIGHT / 2
    if not low <= value <= high:
        return _beyond(value < low, marks)
    label = f"{value:.4f} on a scale from {low:.4f} to {high:.4f}"
    return (
        f'<svg class=bar viewBox="0 0 {_WIDTH} {_HEIGHT}" role=img aria-label="{label}">'
        f'<path class=axis d="M4 {half:g}H{_WIDTH - 4}"/>{marks}'
        f"<rect x={start} y={half - 5:g} width={max(2.0, end - start):.1f} height=10 />"
        f'<path class=value d="M{x(value)} {half - 5:g}v10"/></svg>'
    )


def _beyond(below: bool, marks: str) -> str:
    """An arrow at the end of the scale, for a value outside it."""
    at, anchor, arrow = (0, "start", "◂") if below else (_WIDTH, "end", "▸")
    return (
        f'<svg class=bar viewBox="0 0 {_WIDTH} {_HEIGHT}" role=img aria-label="outside the scale">{marks}'
        f"<text x={at} y=12 text-anchor={anchor}>{arrow}</text></svg>"
    )


def _span(board: Board) -> tuple[float, float]:
    """From the zero of the scale, or the lowest system, to the reference itself, or the highest system."""
    ends = [value for value in (board.scale.zero, board.scale.one) if value is not None]
    for row in board.rows:
        score = row.scores.get(board.primary)
        if score is not None and score.value is not None and (row.rank is not None or board.scale.zero is None):
            ends += [value for value in (score.value, score.low, score.high) if value is not None]
    if not ends:
        return 0.0, 1.0
    low, high = min(ends), max(ends)
    return (low, high) if high > low else (low - 0.5, low + 0.5)
