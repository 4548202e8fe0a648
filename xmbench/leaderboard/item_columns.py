"""The primary metric of every item, from per-item tables that are at hand: what a board keeps with its results."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from xmbench.formats.result import Result
from xmbench.leaderboard.columns import as_column, primary_values
from xmbench.leaderboard.rows import Columns


def from_tables(scored: Sequence[tuple[Result, pa.Table]]) -> Columns:
    """The columns of results that are given with their per-item tables, by the digests of these."""
    return {
        result.items_digest: as_column(result, items, values)
        for result, items in scored
        if (values := primary_values(result, items)) is not None
    }
