"""Columns of a per-item table as numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xmbench.formats.item_scores import mean_column
from xmbench.formats.result import Result
from xmbench.statistics import Counted


def per_item(result: Result, table: pa.Table) -> dict[str, Counted]:
    """The metrics whose items have values of their own, by name, failed items at the floor."""
    found = {name: mean_column(table, name, score) for name, score in result.scores.items()}
    return {name: own for name, own in found.items() if own is not None}


def measured(table: pa.Table, metric: str) -> NDArray[np.float64]:
    """A metric's values (M,) of the items that have one."""
    return np.asarray([value for value in table.column(metric).to_pylist() if value is not None], dtype=np.float64)
