"""One board on the page of all boards: what holds for all of its rows, then the rows block by block."""

from __future__ import annotations

import re
from pathlib import Path

from xmbench.formats.limit import limit_phrase
from xmbench.formats.result import Result, Score
from xmbench.html import escape, table
from xmbench.leaderboard.bars import interval_bar
from xmbench.leaderboard.board import Board, Row, interval_text
from xmbench.leaderboard.details import details, listed, metric_facts, shared_facts
from xmbench.leaderboard.markdown import about_recipe
from xmbench.leaderboard.places import place
from xmbench.leaderboard.rows import BLOCKS, Block
from xmbench.leaderboard.terms import claims, marks, methods_text, ways

_REPORT = re.compile(r"<!--report-->.*?<!--/report-->", re.DOTALL)


def without_reports(text: str) -> str:
    """A page without its links to reports, which are not kept with the results."""
    return _REPORT.sub("", text)


def section(number: int, board: Board, root: Path) -> str:
    """The board as HTML.

    Args:
        number: of the board on the page; the ids of rows begin with it.
        board: what to show.
        root: the directory of the page; reports next to the results are linked.
    """
    recipe, direction = board.track.split("/")
    columns = [
        ("rank", "rank", "low"),
        ("system", "system", "low"),
        ("kind", "kind", "low"),
        ("seeds", "seeds", "high"),
        ("normalised", "normalised", "high"),
        *((name, f"{name} ★" if name == board.primary else name, _better(board, name)) for name in _columns(board)),
    ]
    head = "".join(
        f'<th scope=col data-k="{escape(key)}" data-better={better}><button type=button>{escape(text)}</button></th>'
        for key, text, better in columns
    )
    bodies = "".join(_block(block, number, board, root) for block in BLOCKS)
    old = "" if board.current else " old"
    return (
        f'<section class="board{old}" data-recipe="{escape(recipe)}" data-track="{escape(direction)}" '
        f'data-protocol="{escape(board.protocol)}"><h2>{escape(board.track)}{escape(about_recipe(board))}</h2>'
        f"{_facts(board)}"
        f"<div class=wide tabindex=0 role=region aria-label='{escape(board.track)}'><table><thead><tr>{head}</tr>"
        f"</thead>{bodies}</table></div></section>"
    )


def _columns(board: Board) -> list[str]:
    """The board's metrics, the primary one first: it must be visible without scrolling."""
    return [board.primary, *(name for name in board.metrics if name != board.primary)]


def _better(board: Board, metric: str) -> str:
    known = next((row.result.scores[metric] for row in board.rows if metric in row.result.scores), None)
    return "high" if known is None or known.higher_is_better else "low"


# ---------------------------------------------------------------------------------------------- what all rows share
def _facts(board: Board) -> str:
    first = board.rows[0].result
    limit = f" · {limit_phrase(board.limit)}" if board.limit else ""
    groups = "" if board.groups is None else f" in {board.groups:,} groups"
    smallest = f" · smallest difference {board.smallest_difference:g}" if board.smallest_difference else ""
    gates = "".join(f"<br>Gate: {escape(gate.text)}." for gate in board.gates)
    zero = f"<br>Normalised: 0 is “{escape(board.scale.zero_name)}”." if board.scale.zero_name else ""
    return (
        f"<p class=facts>{escape(first.regime)} · {board.measure.n:,} items of the {escape(first.split)} split{groups}"
        f"{limit} · {escape(board.protocol)} · {escape(board.primary)} version {escape(board.version)}{smallest}"
        f"<br>{escape(ways(board))} 95 % intervals: {escape(methods_text(board))}.{gates}{zero}</p>{_judges(board)}"
        f"<details class=common><summary>what all rows share</summary>"
        f"{metric_facts(board)}{listed(shared_facts(board))}</details>"
    )


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
    return f"<div class=judges>{table(header, rows)}</div>"


def _share(value: float | None) -> str:
    return "<td class=n>–</td>" if value is None else f"<td class=n>{value:.3f}</td>"


# ---------------------------------------------------------------------------------------------- rows
def _block(block: Block, number: int, board: Board, root: Path) -> str:
    """The rows of one block under its title; nothing if there are none."""
    rows = "".join(_row(f"r{number}-{i}", row, board, root) for i, row in enumerate(board.rows) if row.block == block)
    if not rows:
        return ""
    width = 5 + len(board.metrics)
    return (
        f"<tbody class=block><tr class=title><th colspan={width} scope=rowgroup>{BLOCKS[block]}</th></tr>{rows}</tbody>"
    )


def _row(name: str, row: Row, board: Board, root: Path) -> str:
    rank = "–" if row.rank is None else f"{row.rank}{'&nbsp;~' if row.by == 'intervals' else ''}"
    shared = " shared" if row.rank is not None and _sharing(row, board) > 1 else ""
    known = "" if row.normalised is None else f"{row.normalised:z.3f}"
    cells = "".join(_cell(metric, row, board) for metric in _columns(board))
    report = "".join(_report(run, root) for run in row.runs)
    kind, preset = escape(row.result.submission.kind), escape(row.result.submission.preset or "none")
    tags = "".join(f"<span class=tag>{escape(text)}</span>" for text in (*filter(None, [claims(row)]), *marks(row)))
    return (
        f'<tr class="row{shared}" id={name} data-kind="{kind}" data-preset="{preset}">'
        f"<td data-h=rank{_value(row.rank)}>{rank}</td>"
        f"<th scope=row>{escape(row.name)} <span class=links>"
        f"<button type=button class=fold aria-controls={name}m aria-expanded=true>details</button>{report}</span>{tags}"
        f"</th><td data-h=kind>{kind}</td><td data-h=seeds{_value(len(row.runs))}>{len(row.runs)}</td>"
        f"<td data-h=normalised{_value(row.normalised)}>{known}</td>{cells}"
        f"</tr><tr class=more id={name}m><td colspan={5 + len(board.metrics)}>{details(row, board)}</td></tr>"
    )


def _sharing(row: Row, board: Board) -> int:
    return sum(other.rank == row.rank and other.block == row.block for other in board.rows)


def _value(value: float | None) -> str:
    return "" if value is None else f" data-v={value:.9g}"


def _report(result: Result, root: Path) -> str:
    path = place(root, result).with_suffix(".report.html")
    if not path.is_file():
        return ""
    return f'<!--report--> <a href="{escape(path.relative_to(root).as_posix())}">report, with media</a><!--/report-->'


def _cell(metric: str, row: Row, board: Board) -> str:
    score = row.scores.get(metric)
    if score is None or score.value is None:
        return f'<td data-h="{escape(metric)}">{"" if score is None else "–"}</td>'
    covered = f" <small>{score.coverage:.0%}</small>" if score.coverage < 1.0 else ""
    head = f'data-h="{escape(metric)}"{_value(score.value)}'
    if metric != board.primary:
        return f"<td {head}>{score.value:.4f}{covered}</td>"
    return (
        f"<td class=first {head}><b>{score.value:.4f}</b>{covered}<br><small>{_ends(score)}</small>"
        f"{_spread(metric, row)}{interval_bar(score, board)}</td>"
    )


def _ends(score: Score) -> str:
    return escape(interval_text(score))


def _spread(metric: str, row: Row) -> str:
    """The lowest and the highest seed."""
    found = row.entry.spread(metric)
    return "" if found is None else f"<br><small>seeds {found[0]:.4f} to {found[1]:.4f}</small>"
