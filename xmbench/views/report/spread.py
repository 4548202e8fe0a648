"""The distribution of a metric's items, with the lower and upper bounds of the board on the same axis."""

from __future__ import annotations

from string import ascii_lowercase

import numpy as np
import pyarrow as pa

from xmbench.formats.result import Result
from xmbench.html import Mark, escape, histogram
from xmbench.leaderboard import Board, Row
from xmbench.views.report.facts import reference_rows
from xmbench.views.report.values import measured, per_item

_OWN = "★"
_GATE = "▲"


def section(result: Result, items: pa.Table, board: Board | None) -> str:
    """A histogram per metric that has values per item."""
    rows = reference_rows(result, board)[: len(ascii_lowercase)]
    limits = {gate.spec.metric: gate.limit for gate in (board.gates if board else ()) if gate.limit is not None}
    charts = [_chart(name, result, items, rows, limits.get(name)) for name in per_item(result, items)]
    listed = "".join(
        f"<li><b>{letter}</b> {escape(row.result.submission.system)}</li>"
        for letter, row in zip(ascii_lowercase, rows, strict=False)
    )
    listed += f"<li><b>{_GATE}</b> the gate of the board: worse scores have no rank</li>" if limits else ""
    legend = f"<ul class=legend><li><b>{_OWN}</b> this system's score</li>{listed}</ul>"
    note = (
        "Bars count the items that could be measured; lines are scores (means) of this system and of the board's rows."
    )
    return f"<h2>Spread of every metric</h2><p class=sub>{note}</p>{legend}<div class=charts>{''.join(charts)}</div>"


def _chart(name: str, result: Result, items: pa.Table, rows: list[Row], limit: float | None) -> str:
    values, score = measured(items, name), result.scores[name]
    marks = [Mark(score.value, _OWN)] if score.value is not None else []
    marks += [Mark(limit, _GATE)] if limit is not None else []
    outside = []
    for letter, row in zip(ascii_lowercase, rows, strict=False):
        other = row.scores.get(name)
        if other is None or other.value is None:
            continue
        # A row without a single measured item is at the floor: drawn, it would compress everything else.
        if other.coverage > 0:
            marks.append(Mark(other.value, letter))
        else:
            outside.append(f"{letter} {other.value:.4f}")
    ends = np.concatenate([values, [mark.value for mark in marks]])
    low, high = (float(ends.min()), float(ends.max())) if len(ends) else (0.0, 1.0)
    caption = f"{len(values):,} items"
    if len(values):
        caption += f", median {np.median(values):.4f}, {values.min():.4f} to {values.max():.4f}"
    failed = len(items) - len(values)
    caption += f"; {failed:,} not measured" if failed else ""
    caption += f"; not drawn: {', '.join(outside)}" if outside else ""
    picture = histogram(values, low, high, f"histogram of {name}: {caption}", score.unit, 30, marks)
    return f"<figure><h3>{escape(name)}</h3>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
