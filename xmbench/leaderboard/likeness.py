"""Whether a system's outputs are those of a floor or a ceiling: item by item, over every metric.

An item is alike if half of the metrics give both systems the same value up to 0.1 % of the metric's range: one changed
sample moves one or two metrics far, and the median hardly. Metrics of which items only have 0 or 1 (a judge's verdicts)
do not take part: two good systems agree in them. One metric alone decides nothing. A system is refused if more than
three quarters of its usable outputs are alike, or if more than half have the very bytes of the other's. Where a class
has one clip, a network learns it nearly by heart: after 1,800 steps 64 % of MT-Net's outputs on mnist-ad are alike with
the clips; 83 % of copies with hiss at -40 dB are (on digits-ad), and all copies with a change that nobody hears.

Of other systems' rows a board has the primary metric alone. Two trainings hardly ever give an item the same value to
five digits (on digits-ad 1 % of the items for two seeds of MT-Net); a copy with a changed last bit or volume does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xmbench import registry
from xmbench.errors import DocumentError, UnknownNameError
from xmbench.formats import item_scores
from xmbench.formats.result import Result
from xmbench.leaderboard.columns import Stored, column_values, read
from xmbench.leaderboard.remake import of_tool

TOLERANCE = 0.001  # of a metric's range; clips that MT-Net learned by heart differ by 0.001 to 0.005
MOST_NEAR = 0.75  # of the usable outputs, by metrics
MOST_ALIKE = 0.5  # of the usable outputs, by their bytes or the last digit of the primary metric
SAME_VALUE = 1e-5  # of the primary metric, in its own unit
FEWEST_METRICS = 2  # one metric alone is near for many outputs that are nobody's


def alike(result: Result, items: pa.Table, other: Stored) -> str:
    """Why a system cannot be told from a row that the tool made; "" if it can.

    Args:
        result: of the system.
        items: its per-item table.
        other: every metric of the other row, on the same items.
    """
    usable = _measured(result, items)
    if not usable.any() or any(len(values) != len(usable) for values in other.values.values()):
        return ""
    width = len(other.outputs[0]) if other.outputs else 0
    own = [text[:width] for text in items.column("output_sha256").to_pylist()]
    same = np.array([a == b for a, b in zip(own, other.outputs, strict=True)]) if width else np.zeros(len(own), bool)
    share = float(same[usable].mean())
    if share > MOST_ALIKE:
        return f"{share:.0%} of its outputs are the same files"
    near, metrics = _near(result, items, other.values)
    share = float(near[usable].mean())
    return f"{share:.0%} of its outputs have the same values in {metrics} metrics" if share > MOST_NEAR else ""


def copied(root: Path, result: Result, items: pa.Table, others: Iterable[Result]) -> Iterator[tuple[Result, str]]:
    """Rows that the tool made, and from which a generator cannot be told, each with the reason.

    Args:
        root: the directory of the leaderboards.
        result: of the system; none is found for rows of the tool and for systems of kind "retrieval".
        items: its per-item table.
        others: results on the boards.
    """
    if of_tool(result.submission) or result.submission.kind == "retrieval":
        return
    for other in others:
        same = (other.track, other.dataset_digest) == (result.track, result.dataset_digest)
        if not same or not of_tool(other.submission):
            continue
        try:
            reason = alike(result, items, read(root, other))
        except DocumentError:  # named by `store.inspect`
            continue
        if reason:
            yield other, reason


def same_values(result: Result, items: pa.Table, other: Stored) -> float:
    """Share of the usable outputs (0..1) with the same value of the primary metric as another system's.

    0 where the metric has only 0 and 1, or no values of single items: two good systems agree in them.

    Args:
        result: of the system.
        items: its per-item table.
        other: the primary metric of the other system, on the same items.
    """
    name = result.primary
    usable, found = _measured(result, items), item_scores.column(items, name, result.scores[name])
    known = other.values.get(name)
    if found is None or known is None or len(known) != len(usable) or not usable.any():
        return 0.0
    own, theirs = column_values(found)[usable].astype(np.float64), known[usable].astype(np.float64)
    if _are_verdicts(own, theirs):
        return 0.0
    return float((np.abs(own - theirs) <= SAME_VALUE).mean())


def _are_verdicts(*values: NDArray[np.float64]) -> bool:
    """Whether a metric only says 0 or 1 of items."""
    known = np.concatenate(values)
    return set(np.unique(known[~np.isnan(known)])) <= {0.0, 1.0}


def _measured(result: Result, items: pa.Table) -> NDArray[np.bool_]:
    """Which items have an output that some metric measured (N,), whatever the table says of the output itself."""
    statuses = [items.column(f"{name}:status").to_pylist() for name in result.scores if name in items.column_names]
    return np.array(["ok" in own for own in zip(*statuses, strict=True)], dtype=np.bool_)


def _near(result: Result, items: pa.Table, others: Mapping[str, NDArray[np.float32]]) -> tuple[NDArray[np.bool_], int]:
    """Which items are alike (N,), and by how many metrics that was decided."""
    distances = []
    for name, score in result.scores.items():
        span = _span(name)
        found = item_scores.column(items, name, score)
        if found is None or name not in others or span is None:
            continue
        own, known = column_values(found).astype(np.float64), others[name].astype(np.float64)
        if _are_verdicts(own, known):
            continue
        distances.append(np.abs(own - known) / span)
    if len(distances) < FEWEST_METRICS:
        return np.zeros(items.num_rows, dtype=np.bool_), 0
    table = np.nan_to_num(np.stack(distances), nan=np.inf)
    return np.asarray(np.median(table, axis=0) <= TOLERANCE, dtype=np.bool_), len(distances)


def _span(name: str) -> float | None:
    """Width of a metric's bounds; None for one that is not installed or has no bounds."""
    try:
        metric = registry.metric(name)
    except UnknownNameError:
        return None
    span = float(metric.high - metric.low)
    return span if np.isfinite(span) and span > 0 else None
