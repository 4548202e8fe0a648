"""Rows of a board: a system with its seeds, the block in which it stands, and whether it may be ranked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from xmbench.formats.result import Result, Score
from xmbench.leaderboard.entries import Entry
from xmbench.leaderboard.ranking import Column, Way
from xmbench.statistics import FEW_SEEDS

Block = Literal["generators", "retrieval", "bounds", "self-reported"]


Columns = Mapping[str, Column]  # by the digests of the results' per-item tables

RANKED = ("learned", "retrieval")
BLOCKS: dict[Block, str] = {
    "generators": "Generators",
    "retrieval": "Retrieval: stored clips or images, ranked among themselves",
    "bounds": "Lower bounds, upper bounds and references: never ranked",
    "self-reported": "Self-reported: not scored again by the maintainers, not ranked",
}
_BLOCK_OF: dict[str, Block] = {"learned": "generators", "retrieval": "retrieval"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a board.

    Attributes:
        entry: the system: one run, or several with different seeds.
        scores: of the row: means over the seeds.
        verified: whether every run of it was scored again by the maintainers, or here and now.
        rank: None where a row has none.
        by: how it was compared with the others of its block; "" if it was not.
        better: digests of the entries of its block that are better.
        beyond_judge: it scores better than the reference itself: there the judge is the limit.
        unranked: why a system has no rank; "" for bounds, which never have one.
        normalised: 0 at the best row that ignores the condition, 1 at the reference itself; None without both.
    """

    entry: Entry
    scores: Mapping[str, Score]
    verified: bool = True
    rank: int | None = None
    by: Way = ""
    better: tuple[str, ...] = ()
    beyond_judge: bool = False
    unranked: str = ""
    normalised: float | None = None

    @property
    def result(self) -> Result:
        """The first run: who, what and how."""
        return self.entry.result

    @property
    def runs(self) -> tuple[Result, ...]:
        """One result for each seed."""
        return self.entry.runs

    @property
    def name(self) -> str:
        """Of the system."""
        return self.result.submission.system

    @property
    def block(self) -> Block:
        """Where the row stands."""
        return _BLOCK_OF.get(self.result.submission.kind, "bounds") if self.verified else "self-reported"

    @property
    def baseline(self) -> str:
        """The baseline that made a verified row as it is shipped; "" for every other row."""
        made = self.result.submission
        return made.baseline if self.verified and not (made.preset or made.changed or made.control) else ""

    def value(self, metric: str) -> float | None:
        """Its score, if it has one."""
        score = self.scores.get(metric)
        return None if score is None else score.value


def rows_of(found: Iterable[Entry], *, scored_here: bool) -> list[Row]:
    """The rows of a board, not ranked yet.

    Args:
        found: its systems.
        scored_here: the results were scored by this process, so that none is only reported.
    """
    return [
        Row(entry, entry.scores, scored_here or all(run.status == "verified" for run in entry.runs)) for entry in found
    ]


def columns_of(entry: Entry, columns: Columns) -> tuple[Column, ...]:
    """The columns of all seeds; none if one is not known or has other items."""
    found = [columns[run.items_digest] for run in entry.runs if run.items_digest in columns]
    if len(found) < len(entry.runs):
        return ()
    same = all(tuple(c.ids) == tuple(found[0].ids) and tuple(c.groups) == tuple(found[0].groups) for c in found)
    return tuple(Column(c.ids, c.groups, np.asarray(c.values, dtype=np.float64)) for c in found) if same else ()


def in_order(rows: Sequence[Row], primary: str) -> list[Row]:
    """Block by block; in each the ranked rows first, from the best to the worst."""
    return sorted(rows, key=lambda row: _sort_key(row, primary))


def _sort_key(row: Row, primary: str) -> tuple[int, float, float, str]:
    score = row.scores.get(primary)
    value = float("inf")
    if score is not None and score.value is not None:
        value = -score.value if score.higher_is_better else score.value
    rank = float("inf") if row.rank is None else float(row.rank)
    return list(BLOCKS).index(row.block), rank, value, row.name


def too_few_seeds(row: Row) -> str:
    """Why a generator's number of seeds is too small; "" if it is not."""
    count = len(row.runs)
    if not row.entry.too_few_seeds:
        return ""
    return f"{count} {'seed' if count == 1 else 'seeds'}: a generator is ranked with {FEW_SEEDS} or more"


def forbidden(row: Row) -> str:
    """Why a system is never ranked, by its own statement; "" if it may be."""
    return "uses the judges of this package" if any(run.submission.uses_judges for run in row.runs) else ""
