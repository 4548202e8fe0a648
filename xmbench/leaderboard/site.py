"""Every board on one page that opens from a file, offline: sort, filter, intervals, details of each row.

All content is in the HTML itself; the script sorts, filters and folds, and keeps its state in the address
(`#sort=pesq&recipe=mnist-ad`), so a view can be shared. Without scripts everything is open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from xmbench.formats.result import ReportedResult, Result, Score
from xmbench.html import document, escape, table
from xmbench.interfaces import SIDES
from xmbench.leaderboard.board import Board, Row
from xmbench.leaderboard.details import details
from xmbench.leaderboard.markdown import about_recipe
from xmbench.leaderboard.pairs import Compared
from xmbench.leaderboard.places import place
from xmbench.leaderboard.site_style import SCRIPT, STYLE

_BAR_WIDTH = 150
_BAR_HEIGHT = 16
_REPORT = re.compile(r"<!--report-->.*?<!--/report-->", re.DOTALL)
_DIRECTIONS: dict[str, str] = {direction: f"{sides.condition} to {sides.output}" for direction, sides in SIDES.items()}


def page(found: Sequence[Board], reported: Sequence[ReportedResult], compared: Compared, root: Path) -> str:
    """The page.

    Args:
        found: every board.
        reported: results from papers.
        compared: paired differences, for the details.
        root: the directory of the page; reports next to the results are linked.
    """
    sections = [_board(number, board, compared, root) for number, board in enumerate(found)]
    body = (
        f"<h1>Leaderboards</h1>{_LEAD}{_form(found)}"
        f"<output id=shown aria-live=polite></output>{''.join(sections)}{_reported(reported)}"
    )
    return document("xmbench: leaderboards", body, style=STYLE, script=SCRIPT)


def without_reports(text: str) -> str:
    """A page without its links to reports, which are not kept with the results."""
    return _REPORT.sub("", text)


_LEAD = (
    "<p class=lead>Values are means over all items of the split; a failed item counts the metric's floor, and if "
    "not all items could be measured the coverage is given with the value. ★ marks the primary metric, with its 95 % "
    "bootstrap interval as a bar between two marks: ▏ a random training item and ▕ the oracle's class. "
    "<b>normalised</b> is the same on a scale from 0 (random training item) to 1 (oracle's class). "
    "Systems that the data do not separate from the first of a rank share it: by a paired bootstrap over the same "
    "items, or, if a pair was not compared, by overlapping intervals (marked ~). Lower and upper bounds (kinds floor "
    "and ceiling) have no rank.</p>"
)


_SEEDS = (
    " Rows of several seeds show means over them: the brackets are the interval over items (the mean of the seeds' own "
    "ends), below them are the lowest and the highest seed."
)


# ---------------------------------------------------------------------------------------------- the filters
def _form(found: Sequence[Board]) -> str:
    rows = [row.result for board in found for row in board.rows]
    directions = {
        name: f"{name}: {_DIRECTIONS.get(name, name)}" for name in _known(r.track.split("/")[1] for r in rows)
    }
    choices = [
        ("recipe", {name: name for name in _known(board.track.split("/")[0] for board in found)}),
        ("track", directions),
        ("protocol", {name: name for name in _known(board.protocol for board in found)}),
        ("kind", {name: name for name in _known(result.submission.kind for result in rows)}),
        ("preset", {"none": "none", **{name: name for name in _known(r.submission.preset for r in rows) if name}}),
    ]
    metrics = dict.fromkeys(name for board in found for name in board.metrics)
    sorts = {"rank": "rank", "system": "system", "kind": "kind", "normalised": "normalised", **{m: m for m in metrics}}
    selects = "".join(_select(name, "all", options) for name, options in choices)
    return (
        f"<form hidden>{selects}{_select('sort', 'best primary first', sorts)}"
        "<label class=turn><input type=checkbox name=turn> reversed</label><button type=reset>reset</button></form>"
    )


def _known(names: Iterable[str]) -> list[str]:
    return sorted(set(names))


def _select(name: str, every: str, options: dict[str, str]) -> str:
    listed = "".join(f'<option value="{escape(key)}">{escape(text)}</option>' for key, text in options.items())
    return f"<label>{name} <select name={name}><option value=''>{every}</option>{listed}</select></label>"


# ---------------------------------------------------------------------------------------------- one board
def _board(number: int, board: Board, compared: Compared, root: Path) -> str:
    recipe, direction = board.track.split("/")
    first = board.rows[0].result
    columns = [
        ("rank", "rank", "low"),
        ("system", "system", "low"),
        ("kind", "kind", "low"),
        *([("seeds", "seeds", "high")] if board.seeded else []),
        ("normalised", "normalised", "high"),
        *((name, f"{name} ★" if name == board.primary else name, _better(board, name)) for name in _columns(board)),
    ]
    head = "".join(
        f'<th scope=col data-k="{escape(key)}" data-better={better}><button type=button>{escape(text)}</button></th>'
        for key, text, better in columns
    )
    rows = "".join(_row(f"r{number}-{i}", row, board, compared, root) for i, row in enumerate(board.rows))
    old = "" if board.current else " old"
    limit = f" · limited to {board.limit:,} items per split" if board.limit else ""
    return (
        f'<section class="board{old}" data-recipe="{escape(recipe)}" data-track="{escape(direction)}" '
        f'data-protocol="{escape(board.protocol)}"><h2>{escape(board.track)}{escape(about_recipe(board))}</h2>'
        f"<p class=facts>{escape(first.regime)} · {first.scores[board.primary].n:,} items of the "
        f"{escape(first.split)} split{limit} · data set <code>{board.dataset_digest[:12]}</code>"
        f" · {escape(board.protocol)} · {escape(board.primary)} version {escape(board.version)}"
        f"{_judge(board)}<br>{_ways(board)}{_SEEDS if board.seeded else ''}</p>"
        f"<div class=wide tabindex=0 role=region aria-label='{escape(board.track)}'><table><thead><tr>{head}</tr>"
        f"</thead><tbody>{rows}</tbody></table></div></section>"
    )


def _columns(board: Board) -> list[str]:
    """The board's metrics, the primary one first: it must be visible without scrolling."""
    return [board.primary, *(name for name in board.metrics if name != board.primary)]


def _better(board: Board, metric: str) -> str:
    known = next((row.result.scores[metric] for row in board.rows if metric in row.result.scores), None)
    return "high" if known is None or known.higher_is_better else "low"


def _judge(board: Board) -> str:
    text = ""
    for what, judge in board.judges:
        shown = ", ".join(f"{value:.3f} on {escape(name)}" for name, value in judge.accuracy.items())
        text += f" · {what} {escape(judge.name)} <code>{judge.sha256[:12]}</code>, accuracy {shown}"
    return text


def _ways(board: Board) -> str:
    ways = [row.by for row in board.rows if row.by]
    if not ways:
        return "One system: nothing to separate."
    paired = ways.count("paired")
    if paired == len(ways):
        return "Ranks by paired bootstrap."
    return (
        f"Ranks by paired bootstrap for {paired} of {len(ways)} comparisons, by overlapping intervals (~) for the rest."
    )


def _row(name: str, row: Row, board: Board, compared: Compared, root: Path) -> str:
    result = row.result
    rank = "–" if row.rank is None else f"{row.rank}{'&nbsp;~' if row.by == 'intervals' else ''}"
    shared = " shared" if row.rank is not None and [r.rank for r in board.rows].count(row.rank) > 1 else ""
    known = "" if row.normalised is None else f"{row.normalised:.3f}"
    cells = "".join(_cell(metric, row, board) for metric in _columns(board))
    report = "".join(_report(run, root) for run in row.runs)
    kind, preset = escape(result.submission.kind), escape(result.submission.preset or "none")
    seeds = f"<td data-h=seeds{_value(len(row.runs))}>{len(row.runs)}</td>" if board.seeded else ""
    width = 4 + board.seeded + len(board.metrics)
    return (
        f'<tr class="row{shared}" id={name} data-kind="{kind}" data-preset="{preset}">'
        f"<td data-h=rank{_value(row.rank)}>{rank}</td>"
        f"<th scope=row>{escape(result.submission.system)} <span class=links>"
        f"<button type=button class=fold aria-controls={name}m aria-expanded=true>details</button>{report}</span></th>"
        f"<td data-h=kind>{kind}</td>{seeds}<td data-h=normalised{_value(row.normalised)}>{known}</td>{cells}"
        f"</tr><tr class=more id={name}m><td colspan={width}>{details(row, board, compared)}</td></tr>"
    )


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
    ends = "" if score.low is None else f"<br><small>[{score.low:.4f}, {score.high:.4f}]</small>"
    bar = interval_bar(score, board)
    return f"<td class=first {head}><b>{score.value:.4f}</b>{covered}{ends}{_spread(metric, row)}{bar}</td>"


def _spread(metric: str, row: Row) -> str:
    """The lowest and the highest seed."""
    found = row.entry.spread(metric)
    return "" if found is None else f"<br><small>seeds {found[0]:.4f} to {found[1]:.4f}</small>"


def interval_bar(score: Score, board: Board) -> str:
    """A score's interval on the board's scale, with the two marks between which scores are normalised."""
    low, high = _span(board)

    def x(value: float) -> float:
        return round(4 + (_BAR_WIDTH - 8) * min(1.0, max(0.0, (value - low) / (high - low))), 1)

    value = float(score.value or 0.0)
    start, end = x(value if score.low is None else score.low), x(value if score.high is None else score.high)
    marks = "".join(
        f'<path class=mark d="M{x(mark)} 1V{_BAR_HEIGHT - 1}"><title>{name} {mark:.4f}</title></path>'
        for name, mark in (("random training item", board.floor), ("oracle's class", board.ceiling))
        if mark is not None
    )
    half = _BAR_HEIGHT / 2
    if not low <= value <= high:
        return _beyond(value < low, marks)
    label = f"{value:.4f} on a scale from {low:.4f} to {high:.4f}"
    return (
        f'<svg class=bar viewBox="0 0 {_BAR_WIDTH} {_BAR_HEIGHT}" role=img aria-label="{label}">'
        f'<path class=axis d="M4 {half:g}H{_BAR_WIDTH - 4}"/>{marks}'
        f"<rect x={start} y={half - 5:g} width={max(2.0, end - start):.1f} height=10 />"
        f'<path class=value d="M{x(value)} {half - 5:g}v10"/></svg>'
    )


def _beyond(below: bool, marks: str) -> str:
    """An arrow at the end of the scale, for a value outside it."""
    at, anchor, arrow = (0, "start", "◂") if below else (_BAR_WIDTH, "end", "▸")
    return (
        f'<svg class=bar viewBox="0 0 {_BAR_WIDTH} {_BAR_HEIGHT}" role=img aria-label="outside the scale">{marks}'
        f"<text x={at} y=12 text-anchor={anchor}>{arrow}</text></svg>"
    )


def _span(board: Board) -> tuple[float, float]:
    """From the random training item, or the lowest system, to the oracle's class, or the highest one."""
    ends = [value for value in (board.floor, board.ceiling) if value is not None]
    for row in board.rows:
        score = row.scores.get(board.primary)
        if score is not None and score.value is not None and (row.rank is not None or board.floor is None):
            ends += [value for value in (score.value, score.low, score.high) if value is not None]
    if not ends:
        return 0.0, 1.0
    low, high = min(ends), max(ends)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


# ---------------------------------------------------------------------------------------------- papers
def _reported(reported: Sequence[ReportedResult]) -> str:
    tracks = sorted({item.track for item in reported})
    return "".join(_paper(track, [item for item in reported if item.track == track]) for track in tracks)


def _paper(track: str, reported: Sequence[ReportedResult]) -> str:
    metrics = tuple(dict.fromkeys(name for item in reported for name in item.scores))
    rows = [
        [
            escape(item.system),
            *(f"{item.scores[m]:.4f}" if m in item.scores else "" for m in metrics),
            escape(f"{item.paper}, {item.where}"),
            escape(item.data),
        ]
        for item in reported
    ]
    recipe, direction = track.split("/")
    return (
        f'<section class="board paper" data-recipe="{escape(recipe)}" data-track="{escape(direction)}">'
        f"<h2>{escape(track)}: as reported in the papers</h2>"
        "<p class=facts>Other data than ours, never released: not comparable with the boards above, and not ranked.</p>"
        f"{table(['system', *map(escape, metrics), 'where', 'data'], rows)}</section>"
    )
