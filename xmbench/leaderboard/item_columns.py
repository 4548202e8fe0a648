"""The primary metric of every item of the results of a board, as ranks need it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from xmbench.formats.result import Result
from xmbench.leaderboard import pairs
from xmbench.leaderboard.ranking import Column
from xmbench.leaderboard.rows import Columns


def stored(root: Path, results: Iterable[Result]) -> Columns:
    """The columns that are kept with results, by the digest of the per-item table; absent where there is none."""
    known = {result.items_digest: pairs.kept_column(root, result) for result in results}
    return {digest: _column(found) for digest, found in known.items() if found is not None}


def from_tables(scored: Sequence[tuple[Result, pa.Table]]) -> Columns:
    """The columns of results that are given with their per-item tables."""
    known = {
        result.items_digest: pairs.column(items, result.primary, result.scores[result.primary])
        for result, items in scored
        if result.primary in result.scores
    }
    return {digest: _column(found) for digest, found in known.items() if found is not None}


def _column(found: pairs.Column) -> Column:
    """An item that leaves the mean is NaN there."""
    return Column(found.ids, found.groups, np.where(found.kept, found.values, np.nan))
