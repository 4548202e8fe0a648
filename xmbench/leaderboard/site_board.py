"""One board as HTML: in short for the front page; with judges, metrics and all that its rows share for its own page."""

from __future__ import annotations

import re

from xmbench.formats.limit import limit_phrase
from xmbench.html import escape, table
from xmbench.leaderboard.board import Board
from xmbench.leaderboard.details import listed, metric_facts, shared_facts
from xmbench.leaderboard.markdown import about_recipe, heading
from xmbench.leaderboard.site_rows import View, rows_table
from xmbench.leaderboard.terms import methods_text, ways

_REPORT = re.compile(r"<!--report-->.*?<!--/report-->", re.DOTALL)


def without_reports(text: str) -> str:
    """A page without its links to reports, which are not kept with the results."""
    return _REPORT.sub("", text)


def section(board: Board, view: View) -> str:
    """The board as HTML: in short where its details are on another page."""
    recipe, direction = board.track.split("/")
    old = "" if board.current else " old"
    return (
        f'<section class="board{old}" data-recipe="{escape(recipe)}" data-track="{escape(direction)}" '
        f'data-protocol="{escape(board.protocol)}">{_in_short(board, view) if view.details else _whole(board, view)}'
        "</section>"
    )


def _in_short(board: Board, view: View) -> str:
    title = f'<a href="{view.details}">{escape(board.track)}</a>{escape(about_recipe(board))}'
    facts = f"{_size(board)} · {escape(board.protocol)}<br>{escape(ways(board))}"
    return f"<h2>{title}</h2><p class=facts>{facts}</p>{rows_table(board, view)}"


def _whole(board: Board, view: View) -> str:
    return (
        f"<h2>{escape(heading(board).capitalize())}</h2>{_facts(board)}{rows_table(board, view)}{_judges(board)}"
        f"<details class=common><summary>what all rows share</summary>"
        f"{metric_facts(board)}{listed(shared_facts(board))}</details>"
    )


# ---------------------------------------------------------------------------------------------- what all rows share
def _size(board: Board) -> str:
    """Regime, items, groups and limit, in a line."""
    first = board.rows[0].result
    limit = f" · {limit_phrase(board.limit)}" if board.limit else ""
    groups = "" if board.groups is None else f" in {board.groups:,} groups"
    return f"{escape(first.regime)} · {board.measure.n:,} items of the {escape(first.split)} split{groups}{limit}"


def _facts(board: Board) -> str:
    smallest = f" · smallest difference {board.smallest_difference:g}" if board.smallest_difference else ""
    gates = "".join(f"<br>Gate: {escape(gate.text)}." for gate in board.gates)
    zero = f"<br>Normalised: 0 is “{escape(board.scale.zero_name)}”." if board.scale.zero_name else ""
    version = f"{escape(board.primary)} version {escape(board.version)}"
    facts = f"{_size(board)} · {escape(board.protocol)} · {version}{smallest}<br>{escape(ways(board))}"
    return f"<p class=facts>{facts} 95 % intervals: {escape(methods_text(board))}.{gates}{zero}</p>"


def _judges(board: Board) -> str:
    """The judges with everything that is known of their errors, one column each."""
    if not board.judges:
        return ""
    cards = [card for _, card in board.judges]
    header = ["", *(f"{what}<br>{escape(card.name)} <code>{card.sha256[:12]}</code>" for what, card in board.judges)]
    rows = [
        [f"accuracy on {escape(name)}", *(_share(card.accuracy.get(name)) for card in cards)]
        for name in dict.fromkeys(name for card in cards for name in card.accuracy)
    ]
    rows += [
        [f"takes {escape(name)} for one of its classes", *(_share(card.false_accepts.get(name)) for card in cards)]
        for name in dict.fromkeys(name for card in cards for name in card.false_accepts)
    ]
    if not any(card.false_accepts for card in cards):
        rows.append(["false accepts", *("not measured" for _ in cards)])
    rows.append(["calibration error", *(_share(card.calibration_error) for card in cards)])
    return f"<h3>Judges</h3><div class=judges>{table(header, rows)}</div>"


def _share(value: float | None) -> str:
    return "<td class=n>–</td>" if value is None else f"<td class=n>{value:.3f}</td>"
