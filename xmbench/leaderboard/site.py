"""All boards on a front page, and a page for each track with all details: they open from files, offline.

All content is in the HTML itself; the script sorts, filters and folds, and keeps its state in the address
(`#sort=pesq&open=mt-net`), so a view can be shared. Without scripts everything is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from xmbench.formats.result import ReportedResult
from xmbench.html import document, escape, table
from xmbench.interfaces import SIDES
from xmbench.leaderboard.board import Board
from xmbench.leaderboard.markdown import GENERATED
from xmbench.leaderboard.places import FRONT_PAGE, track_page
from xmbench.leaderboard.site_board import section
from xmbench.leaderboard.site_rows import View, row_names
from xmbench.leaderboard.site_style import SCRIPT, STYLE
from xmbench.leaderboard.stated import first_metrics, stated_by
from xmbench.leaderboard.terms import TERMS

_DIRECTIONS: dict[str, str] = {direction: f"{sides.condition} to {sides.output}" for direction, sides in SIDES.items()}


def front_page(found: Sequence[Board], reported: Sequence[ReportedResult], root: Path, earlier: str = "") -> str:
    """Every board in short; each row leads to its details on the page of its track.

    Args:
        found: every board.
        reported: results from papers.
        root: the directory of the page; reports next to the results are linked.
        earlier: the page of results of earlier protocols, relative to `root`; "" for none.
    """
    views = {
        track: View(root, row_names([board for board in found if board.track == track], root), track_page(track))
        for track in {board.track for board in found}
    }
    sections = "".join(section(board, views[board.track]) for board in found)
    older = (
        f" <a href={escape(earlier)}>Results of earlier protocols</a> are on a page of their own." if earlier else ""
    )
    body = (
        f"{GENERATED}<h1>Leaderboards</h1><p class=lead>{_LEAD} All metrics, judges and details are on the page "
        f"of each board.{older}</p>{_terms()}{_form(found, front=True)}{sections}{_reported(reported)}"
    )
    return document("xmbench: leaderboards", body, style=STYLE, script=SCRIPT)


def board_page(
    track: str, found: Sequence[Board], reported: Sequence[ReportedResult], root: Path, tracks: Sequence[str] = ()
) -> str:
    """The boards of one track with all metrics, judges and details.

    Args:
        track: its public name.
        found: its boards.
        reported: results from papers on it.
        root: the directory of the page; reports next to the results are linked.
        tracks: every track that has a page.
    """
    view = View(root, row_names(found, root))
    sections = "".join(section(board, view) for board in found)
    links = [
        escape(other) if other == track else f'<a href="{track_page(other)}">{escape(other)}</a>' for other in tracks
    ]
    body = (
        f"{GENERATED}<nav><a href={FRONT_PAGE}>All boards</a>{''.join(f' · {link}' for link in links)}</nav>"
        f"<h1>{escape(track)}</h1><p class=lead>{_LEAD}</p>{_terms()}"
        f"{_form(found, front=False) if found else ''}{sections}{_reported(reported)}"
    )
    return document(f"xmbench: {track}", body, style=STYLE, script=SCRIPT if found else "")


def _terms() -> str:
    terms = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in TERMS)
    return f"<details class=terms><summary>what the words on this page mean</summary><dl>{terms}</dl></details>"


_LEAD = (
    "Values are means over all items of the split; a failed item counts the metric's lower bound, and if not all "
    "items could be measured the coverage is given with the value. ★ marks the primary metric, with its 95 % "
    "interval as a bar between two marks: ▏ the best row that ignores the condition, ▕ the reference itself; "
    "<b>normalised</b> is 0 at the one and 1 at the other. Only rows that the maintainers scored again are ranked; "
    "systems that the data do not separate share a rank. A self-reported row stands last."
)


# ---------------------------------------------------------------------------------------------- the filters
def _form(found: Sequence[Board], *, front: bool) -> str:
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
    wanted = choices if front else [choice for choice in choices if len(choice[1]) > 1]
    selects = "".join(_select(name, "all", options) for name, options in wanted)
    return (
        f"<form hidden>{selects}{_select('sort', 'best primary first', _sorts(found, front))}"
        "<label class=turn><input type=checkbox name=turn> reversed</label><button type=reset>reset</button></form>"
        "<output id=shown aria-live=polite></output>"
    )


def _sorts(found: Sequence[Board], front: bool) -> dict[str, str]:
    """The columns of the page's tables."""
    stated = [column.name for board in found for column in stated_by(board)]
    metrics = [name for board in found for name in (first_metrics(board) if front else board.metrics)]
    return {name: name for name in ("rank", "system", "kind", "seeds", "normalised", *stated, *metrics)}


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
