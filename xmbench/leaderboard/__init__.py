"""Boards: one JSON per result under `leaderboards/<recipe>/<direction>/`, tables and a page generated from them.

::

    leaderboards/<recipe>/<direction>/<system>.json          a result
    leaderboards/<recipe>/<direction>/<system>.column.parquet  its primary metric, item by item
    leaderboards/<recipe>/<direction>/<system>--seed-1.json  another seed of the system: one row with the first
    leaderboards/<recipe>/<direction>/items-<digest>.parquet  ids, labels and groups of the items of a data set
    leaderboards/<recipe>/<direction>/reported-<name>.json   what a paper reports: a separate table, never ranked
    leaderboards/history/protocol-1/...                      results of an earlier protocol: never on a current board
    leaderboards/index.html, history.html, README.md         generated
    leaderboards/<recipe>-<direction>.html, .md              generated, a page for each track

`add` adds a result, `load` reads and checks all of them, `verify` scores their outputs again, `boards` ranks, `build`
writes the pages.
"""

from __future__ import annotations

from xmbench.leaderboard.admission import Added, add
from xmbench.leaderboard.board import Board, Row, boards, cell
from xmbench.leaderboard.places import place, slug
from xmbench.leaderboard.publish import build, check, pages
from xmbench.leaderboard.store import Loaded, load

__all__ = [
    "Added",
    "Board",
    "Loaded",
    "Row",
    "add",
    "boards",
    "build",
    "cell",
    "check",
    "load",
    "pages",
    "place",
    "slug",
]
