"""Boards: one JSON per result under `leaderboards/<recipe>/<direction>/`, tables and a page generated from them.

::

    leaderboards/<recipe>/<direction>/<system>.json         a result, as `xmbench score` wrote it
    leaderboards/<recipe>/<direction>/<system>--seed-1.json another seed of the system: one row with the first
    leaderboards/<recipe>/<direction>/reported-<name>.json  what a paper reports: a separate table, never ranked
    leaderboards/<recipe>/<direction>/pairs.json            paired differences of the results, computed by `add`
    leaderboards/history/protocol-1/...                     results of an earlier protocol: never on a current board
    leaderboards/*.md, index.html, history.html             generated
    leaderboards/.tables/                                   per-item values on this machine, for the next `add`

`add` adds a result, `load` reads and checks all of them, `boards` ranks, `build` writes the pages.
"""

from __future__ import annotations

from xmbench.leaderboard.board import Board, Row, boards, cell
from xmbench.leaderboard.pairs import Compared, compared
from xmbench.leaderboard.publish import build, check, pages
from xmbench.leaderboard.store import Added, Loaded, add, load, place, slug

__all__ = [
    "Added",
    "Board",
    "Compared",
    "Loaded",
    "Row",
    "add",
    "boards",
    "build",
    "cell",
    "check",
    "compared",
    "load",
    "pages",
    "place",
    "slug",
]
