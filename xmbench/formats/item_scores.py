"""The values behind a score: one metric's column of the per-item table that is stored with a result."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from xmbench.formats.result import Score
from xmbench.statistics import Counted, counted


def column(items: pa.Table, metric: str, score: Score) -> Counted | None:
    """A metric's values (N,), the lower bound where an item has none, and which of them enter its mean.

    Args:
        items: the table that `xmbench score` writes.
        metric: a name among its columns.
        score: of that metric, as the result states it.

    Returns:
        None where items have no values (a distribution), or the table lacks the column.
    """
    if score.floor is None or metric not in items.column_names:
        return None
    values = items.column(metric)
    measured = values.is_valid().to_numpy().astype(np.bool_)
    statuses = items.column(f"{metric}:status").to_pylist()
    return counted(values.fill_null(score.floor).to_numpy(), measured, statuses, score.floor, score.left_out)


def mean_column(items: pa.Table, metric: str, score: Score) -> Counted | None:
    """As `column`, but None also for a metric of all items together, whose score is not the mean of these values."""
    return None if score.whole_set else column(items, metric, score)


def clusters(items: pa.Table, score: Score) -> list[str]:
    """The group of each item among which a score varies: N names.

    Args:
        items: the table that `xmbench score` writes.
        score: of a metric in it, as the result states it.
    """
    column = f"{score.depends_on}_group"
    return [str(name) for name in items.column(column if column in items.column_names else "group").to_pylist()]
