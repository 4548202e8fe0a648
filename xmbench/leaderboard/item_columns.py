"""The primary metric of every item, from per-item tables that are at hand: what a board keeps with its results."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from xmbench.formats import item_scores
from xmbench.formats.result import Result
from xmbench.leaderboard.columns import Column, column_values, has_column
from xmbench.leaderboard.rows import Columns


def from_tables(scored: Sequence[tuple[Result, pa.Table]]) -> Columns:
    """The columns of results that are given with their per-item tables, by the digests of these."""
    known = {result.items_digest: _column(result, items) for result, items in scored if has_column(result)}
    return {digest: found for digest, found in known.items() if found is not None}


def _column(result: Result, items: pa.Table) -> Column | None:
    score = result.scores[result.primary]
    found = item_scores.column(items, result.primary, score)
    if found is None:
        return None
    side = f"{score.depends_on}_group"
    named = side if side in items.column_names else "group"
    ids, groups = (tuple(str(text) for text in items.column(name).to_pylist()) for name in ("id", named))
    return Column(ids, groups, column_values(found))
