"""Whether a system's outputs are those of a floor or a ceiling: item by item, over every metric.

An item is alike if three quarters of the metrics give both systems the same value up to 0.02 % of the metric's range: a
copy with a change that nobody hears (one sample, the volume, a shift) is below 0.01 %, and one changed sample moves one
or two metrics far. Metrics of which items only have 0 or 1 (a judge's verdicts) do not take part: two good systems
agree in them. One metric alone decides nothing. A system is refused if more than half of its usable outputs are alike,
or have the very bytes of the other's.

Copies with a hiss that one hears are not found so: where a class has one clip, a network learns it as near to the
sample (after 1,800 steps MT-Net lite differs from the clips by 0.6 % of the range in PESQ and 0.1 % in Corr2D on
digits-ad, 4 % and 0.2 % on mnist-ad; a copy with hiss at -60 dB by 0.2 % in both). Who adds a result is told where half
of the metrics are within 0.1 % for more than half of the outputs.

Of other systems' rows a board has the primary metric alone. Two trainings hardly ever give an item the same value to
five digits (on digits-ad 1 % of the items for two seeds of MT-Net); a copy with a changed last bit or volume does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Likeness:
    """When an output counts as another's: within `tolerance` of a metric's range in so large a share of the metrics."""

    tolerance: float
    metrics: float


COPY = Likeness(0.0002, 0.75)  # refused
NEARLY = Likeness(0.001, 0.5)  # told
MOST_ALIKE = 0.5  # of the usable outputs
SAME_VALUE = 1e-5  # of the primary metric, in its own unit
FEWEST_METRICS = 2  # one metric alone is near for many outputs that are nobody's


def alike(result: Result, items: pa.Table, other: Stored, likeness: Likeness = COPY) -> str:
    """Why a system cannot be told from a row that the tool made; "" if it can.

    Args:
        result: of the system.
        items: its per-item table.
        other: every metric of the other row, on the same items.
        likeness: how near an output has to be.
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
    near, metrics, needed = _near(result, items, other.values, likeness)
    share = float(near[usable].mean())
    told = f"{share:.0%} of its outputs have the same values in {needed} of {metrics} metrics"
    return told if share > MOST_ALIKE else ""


def copied(
    root: Path, result: Result, items: pa.Table, others: Iterable[Result], likeness: Likeness = COPY
) -> Iterator[tuple[Result, str]]:
    """Rows that the tool made, and from which a generator cannot be told, each with the reason.

    Args:
        root: the directory of the leaderboards.
        result: of the system; none is found for rows of the tool and for systems of kind "retrieval".
        items: its per-item table.
        others: results on the boards.
        likeness: how near an output has to be.
    """
    if of_tool(result.submission) or result.submission.kind == "retrieval":
        return
    for other in others:
        same = (other.track, other.dataset_digest) == (result.track, result.dataset_digest)
        if not same or not of_tool(other.submission):
            continue
        try:
            reason = alike(result, items, read(root, other), likeness)
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


def _near(
    result: Result, items: pa.Table, others: Mapping[str, NDArray[np.float32]], likeness: Likeness
) -> tuple[NDArray[np.bool_], int, int]:
    """Which items are alike (N,), how many metrics took part, and how many of them had to be near."""
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
        return np.zeros(items.num_rows, dtype=np.bool_), 0, 0
    near = np.nan_to_num(np.stack(distances), nan=np.inf) <= likeness.tolerance
    needed = math.ceil(likeness.metrics * len(distances))
    return near.sum(axis=0) >= needed, len(distances), needed


def _span(name: str) -> float | None:
    """Width of a metric's bounds; None for one that is not installed or has no bounds."""
    try:
        metric = registry.metric(name)
    except UnknownNameError:
        return None
    span = float(metric.high - metric.low)
    return span if np.isfinite(span) and span > 0 else None
