"""Every board on one page that opens from a file, offline: sort, filter, intervals, details of each row.

All content is in the HTML itself; the script sorts, filters and folds, and keeps its state in the address
(`#sort=pesq&recipe=mnist-ad`), so a view can be shared. Without scripts everything is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from xmbench.formats.result import ReportedResult
from xmbench.html import document, escape, table
from xmbench.interfaces import SIDES
from xmbench.leaderboard.board import Board
from xmbench.leaderboard.site_board import section
from xmbench.leaderboard.site_style import SCRIPT, STYLE
from xmbench.leaderboard.terms import TERMS

_DIRECTIONS: dict[str, str] = {direction: f"{sides.condition} to {sides.output}" for direction, sides in SIDES.items()}


def page(found: Sequence[Board], reported: Sequence[ReportedResult], root: Path, earlier: str = "") -> str:
    """The page.

    Args:
        found: every board.
        reported: results from papers.
        root: the directory of the page; reports next to the results are linked.
        earlier: the page of results of earlier protocols, relative to `root`; "" for none.
    """
    sections = [section(number, board, root) for number, board in enumerate(found)]
    terms = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in TERMS)
    older = (
        f" <a href={escape(earlier)}>Results of earlier protocols</a> are on a page of their own." if earlier else ""
    )
    body = (
        f"<h1>Leaderboards</h1><p class=lead>{_LEAD}{older}</p>"
        f"<details class=terms><summary>what the words on this page mean</summary><dl>{terms}</dl></details>"
        f"{_form(found)}"
        f"<output id=shown aria-live=polite></output>{''.join(sections)}{_reported(reported)}"
    )
    return document("xmbench: leaderboards", body, style=STYLE, script=SCRIPT)


_LEAD = (
    "Values are means over all items of the split; a failed item counts the metric's lower bound, and if not all "
    "items could be measured the coverage is given with the value. ★ marks the primary metric, with its 95 % "
    "interval as a bar between two marks: ▏ the best row that ignores the condition, ▕ the reference itself; "
    "<b>normalised</b> is 0 at the one and 1 at the other. Only rows that the maintainers scored again are ranked; "
    "systems that the data do not separate share a rank. A self-reported row stands last."
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
