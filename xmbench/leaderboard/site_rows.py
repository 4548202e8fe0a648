"""The rows of a board as HTML: all that is known of them on the board's page, the first columns on the front page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xmbench.formats.result import Result
from xmbench.html import escape
from xmbench.leaderboard.bars import interval_bar
from xmbench.leaderboard.board import Board, Row, interval_text
from xmbench.leaderboard.details import details
from xmbench.leaderboard.places import place
from xmbench.leaderboard.rows import BLOCKS, Block
from xmbench.leaderboard.stated import first_metrics, other_metrics, stated_by
from xmbench.leaderboard.terms import claims, marks

Key = tuple[str, str]


def key_of(row: Row) -> Key:
    """Distinguishes the rows of a page: bounds of two names may have the same outputs."""
    return row.entry.digest, row.name


@dataclass(frozen=True, slots=True)
class View:
    """Which page the rows are for.

    Attributes:
        root: the directory of the page; reports next to the results are linked.
        names: of rows on their board's page, by `key_of` the row.
        details: the page that has the details, relative to `root`; "" if it is this one.
    """

    root: Path
    names: Mapping[Key, str]
    details: str = ""


def row_names(found: Sequence[Board], root: Path) -> dict[Key, str]:
    """A name for each row of a page, from its result's file: it stays when other rows are added."""
    named: dict[Key, str] = {}
    for row in (row for board in found for row in board.rows):
        stem = place(root, row.result).stem
        same = sum(other == stem or other.startswith(f"{stem}--row-") for other in named.values())
        named[key_of(row)] = f"{stem}--row-{same + 1}" if same else stem
    return named


def rows_table(board: Board, view: View) -> str:
    """Head and blocks of a board's table."""
    columns = [
        ("rank", "rank", "low"),
        ("system", "system", "low"),
        ("kind", "kind", "low"),
        ("seeds", "seeds", "high"),
        ("normalised", "normalised", "high"),
        *(_metric_column(board, name) for name in first_metrics(board)),
        *((column.name, column.name, column.better) for column in stated_by(board)),
        *(_metric_column(board, name) for name in _others(board, view)),
    ]
    head = "".join(
        f'<th scope=col data-k="{escape(key)}" data-better={better}><button type=button>{escape(text)}</button></th>'
        for key, text, better in columns
    )
    bodies = "".join(_block(block, board, view, len(columns)) for block in BLOCKS)
    return (
        f"<div class=wide tabindex=0 role=region aria-label='{escape(board.track)}'><table><thead><tr>{head}</tr>"
        f"</thead>{bodies}</table></div>"
    )


def _others(board: Board, view: View) -> list[str]:
    return [] if view.details else other_metrics(board)


def _metric_column(board: Board, name: str) -> tuple[str, str, str]:
    known = next((row.result.scores[name] for row in board.rows if name in row.result.scores), None)
    better = "high" if known is None or known.higher_is_better else "low"
    return name, f"{name} ★" if name == board.primary else name, better


def _block(block: Block, board: Board, view: View, width: int) -> str:
    """The rows of one block under its title; nothing if there are none."""
    rows = "".join(_row(row, board, view, width) for row in board.rows if row.block == block)
    if not rows:
        return ""
    return (
        f"<tbody class=block><tr class=title><th colspan={width} scope=rowgroup>{BLOCKS[block]}</th></tr>{rows}</tbody>"
    )


def _row(row: Row, board: Board, view: View, width: int) -> str:
    rank = "–" if row.rank is None else f"{row.rank}{'&nbsp;~' if row.by == 'intervals' else ''}"
    shared = " shared" if row.rank is not None and _sharing(row, board) > 1 else ""
    known = "" if row.normalised is None else f"{row.normalised:z.3f}"
    kind, preset = escape(row.result.submission.kind), escape(row.result.submission.preset or "none")
    name = view.names[key_of(row)]
    if view.details:
        start, end = f'<tr class="row{shared}"', "</tr>"
    else:
        start = f'<tr class="row{shared}" id="{name}"'
        end = f'</tr><tr class=more id="{name}-more"><td colspan={width}>{details(row, board)}</td></tr>'
    cells = [
        f"<td data-h=rank>{rank}</td>",
        f"<th scope=row>{escape(row.name)} {_links(row, name, view)}{_tags(row)}</th>",
        f"<td data-h=kind>{kind}</td><td data-h=seeds>{len(row.runs)}</td>",
        f"<td data-h=normalised{'' if view.details else _value(row.normalised)}>{known}</td>",
        *(_score(metric, row, board, view) for metric in first_metrics(board)),
        *_stated(row, board),
        *(_score(metric, row, board, view) for metric in _others(board, view)),
    ]
    return f'{start} data-kind="{kind}" data-preset="{preset}">{"".join(cells)}{end}'


def _links(row: Row, name: str, view: View) -> str:
    reports = "".join(_report(run, view.root) for run in row.runs)
    if view.details:
        more = f'<a href="{view.details}#open={name}">details</a>'
    else:
        more = f'<button type=button class=fold aria-controls="{name}-more" aria-expanded=true>details</button>'
    return f"<span class=links>{more}{reports}</span>"


def _report(result: Result, root: Path) -> str:
    path = place(root, result).with_suffix(".report.html")
    if not path.is_file():
        return ""
    return f'<!--report--> <a href="{escape(path.relative_to(root).as_posix())}">report, with media</a><!--/report-->'


def _tags(row: Row) -> str:
    return "".join(f"<span class=tag>{escape(text)}</span>" for text in (*filter(None, [claims(row)]), *marks(row)))


def _sharing(row: Row, board: Board) -> int:
    return sum(other.rank == row.rank and other.block == row.block for other in board.rows)


def _value(value: float | None) -> str:
    """What a cell is sorted by, where its text has fewer digits."""
    return "" if value is None else f" data-v={value:.9g}"


def _stated(row: Row, board: Board) -> list[str]:
    return [
        f"<td data-h={column.name}{_value(column.value(row))}>{escape(column.shown(row))}</td>"
        for column in stated_by(board)
    ]


def _score(metric: str, row: Row, board: Board, view: View) -> str:
    score = row.scores.get(metric)
    if score is None or score.value is None:
        return f'<td data-h="{escape(metric)}">{"" if score is None else "–"}</td>'
    covered = f" <small>{score.coverage:.0%}</small>" if score.coverage < 1.0 else ""
    head = f'data-h="{escape(metric)}"{"" if view.details else _value(score.value)}'
    if metric != board.primary:
        return f"<td {head}>{score.value:.4f}{covered}</td>"
    bar = interval_bar(score, board, titles=not view.details)
    return (
        f"<td class=first {head}><b>{score.value:.4f}</b>{covered}<br><small>{escape(interval_text(score))}</small>"
        f"{_spread(metric, row)}{bar}</td>"
    )


def _spread(metric: str, row: Row) -> str:
    """The lowest and the highest seed."""
    found = row.entry.spread(metric)
    return "" if found is None else f"<br><small>seeds {found[0]:.4f} to {found[1]:.4f}</small>"
