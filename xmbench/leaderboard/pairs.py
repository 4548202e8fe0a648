"""Which systems of a board the data separate: differences of the primary metric under one paired bootstrap.

Two systems answer the same items, so their scores move together from resample to resample; the interval of the
difference is narrower than two intervals laid side by side suggest. Per-item tables are too large to keep with the
results, so each pair is compared when a result is added, and the verdicts are kept in `pairs.json` beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field

from xmbench import registry
from xmbench.errors import UnknownNameError
from xmbench.formats.document import Document, Part
from xmbench.formats.recipe import Name, Sha256
from xmbench.formats.result import Result
from xmbench.statistics import LEVEL, RESAMPLES, SEED, resampled_means
from xmbench.storage.files import make_folder, replacing, write_text

PAIRS_FILE = "pairs.json"
TABLES = ".tables"
_SAME = 1e-9  # a mean summed in another order


class Pairing(Part):
    """Two results' primary metric: mean of `a` minus mean of `b`, with its 95 % interval.

    `a` and `b` are the digests of the two per-item tables: a result that changes loses its pairings.
    """

    metric: Name
    a: Sha256
    b: Sha256
    difference: float
    low: float
    high: float


class Pairs(Document):
    """`pairs.json`: the paired comparisons of one track."""

    schema_: Literal["xmbench/pairs/1"] = Field(default="xmbench/pairs/1", alias="schema")
    track: str
    resamples: int = RESAMPLES
    seed: int = SEED
    pairs: tuple[Pairing, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """Every pairing that is known, by metric and the two digests."""

    known: Mapping[tuple[str, str, str], Pairing] = field(default_factory=dict)

    @classmethod
    def of(cls, pairs: Iterable[Pairing]) -> Compared:
        """From the rows of documents."""
        return cls({(pair.metric, pair.a, pair.b): pair for pair in pairs})

    def between(self, a: Result, b: Result) -> Pairing | None:
        """The pairing of two results of one board as `a` minus `b`, or None where they were not compared."""
        found = self.known.get((a.primary, a.items_digest, b.items_digest))
        if found is not None:
            return found
        turned = self.known.get((a.primary, b.items_digest, a.items_digest))
        if turned is None:
            return None
        return Pairing(
            metric=turned.metric,
            a=turned.b,
            b=turned.a,
            difference=-turned.difference,
            low=-turned.high,
            high=-turned.low,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """What a paired bootstrap needs of a result.

    Attributes:
        ids, groups: N each.
        values: float64 (N,): the primary metric, the floor where an item failed.
        kept: bool (N,): False for items that leave the mean.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    values: NDArray[np.float64]
    kept: NDArray[np.bool_]

    @property
    def mean(self) -> float:
        """The penalised mean."""
        return float(self.values[self.kept].mean()) if self.kept.any() else float("nan")


def column(items: pa.Table, metric: str, floor: float | None) -> Column | None:
    """One metric of a per-item table; None where its score is not the mean of items' own values (distributions).

    Args:
        items: the table that `xmbench score` writes.
        metric: a name among its columns.
        floor: what a failed item counts.
    """
    if floor is None or metric not in items.column_names or of_whole_set(metric):
        return None
    statuses = np.asarray(items.column(f"{metric}:status").to_pylist(), dtype=object)
    raw = np.asarray([np.nan if value is None else value for value in items.column(metric).to_pylist()], dtype=float)
    kept = ~np.isin(statuses, sorted(_left_out(metric)))
    ids, groups = (tuple(str(name) for name in items.column(key).to_pylist()) for key in ("id", "group"))
    return Column(ids, groups, np.where(np.isnan(raw), floor, raw), kept)


def agrees(found: Column, value: float | None) -> bool:
    """Whether the column's mean is the score that a result states."""
    return value is not None and abs(found.mean - value) <= _SAME * max(1.0, abs(value))


def compare(first: Column, others: Sequence[Column]) -> list[tuple[float, float, float]]:
    """Differences of means, `first` minus each of the others, all under the same resamples of the groups.

    Args:
        first: one system.
        others: systems with the same ids and groups.

    Returns:
        (difference, low, high) of each, low..high the 95 % percentile interval.
    """
    columns = (first, *others)
    values, kept = (np.stack(part, axis=1) for part in zip(*((c.values, c.kept) for c in columns), strict=True))
    drawn = resampled_means(values, kept, first.groups)  # (resamples, S)
    tail = 100.0 * (1.0 - LEVEL) / 2.0
    ends = np.nanpercentile(drawn[:, :1] - drawn[:, 1:], [tail, 100.0 - tail], axis=0)
    return [
        (first.mean - other.mean, float(low), float(high))
        for other, low, high in zip(others, ends[0], ends[1], strict=True)
    ]


def pair_up(new: Result, own: Column, others: Sequence[tuple[Result, Column]]) -> list[Pairing]:
    """Compares a new result with those of its board whose per-item values are at hand."""
    same = [(result, found) for result, found in others if found.ids == own.ids and found.groups == own.groups]
    if not same:
        return []
    verdicts = compare(own, [found for _, found in same])
    return [
        Pairing(
            metric=new.primary, a=new.items_digest, b=result.items_digest, difference=difference, low=low, high=high
        )
        for (result, _), (difference, low, high) in zip(same, verdicts, strict=True)
    ]


def compared(scored: Sequence[tuple[Result, pa.Table]]) -> Compared:
    """Compares every two of some results whose per-item tables are at hand; the results are of one board."""
    columns = [(result, column(items, result.primary, result.scores[result.primary].floor)) for result, items in scored]
    known = [(result, own) for result, own in columns if own is not None]
    return Compared.of(pair for i, (result, own) in enumerate(known) for pair in pair_up(result, own, known[i + 1 :]))


def write_pairs(path: Path, track: str, found: Iterable[Pairing], results: Sequence[Result]) -> None:
    """Writes the pairings between results that are still there; no file where there is none."""
    there = {result.items_digest for result in results}
    rows = {(pair.metric, *sorted((pair.a, pair.b))): pair for pair in found if {pair.a, pair.b} <= there}
    if rows:
        write_text(path, Pairs(track=track, pairs=tuple(rows[key] for key in sorted(rows))).to_json())
    else:
        path.unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------- kept on this machine
def keep(root: Path, result: Result, found: Column) -> None:
    """Keeps a result's column for the next `add`; the folder stays out of version control.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = make_folder(root / TABLES)
    write_text(folder / ".gitignore", "*\n")
    table = pa.table({"id": found.ids, "group": found.groups, "value": found.values, "kept": found.kept})
    with replacing(_place(root, result)) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def kept_column(root: Path, result: Result) -> Column | None:
    """The column of a result if it is at hand and gives the score that the result states."""
    try:
        table = pq.read_table(_place(root, result))
        ids, groups = (tuple(table.column(name).to_pylist()) for name in ("id", "group"))
        values, kept = (table.column(name).to_numpy() for name in ("value", "kept"))
    except (OSError, KeyError, pa.ArrowException):
        return None
    found = Column(ids, groups, values, kept)
    return found if agrees(found, result.scores[result.primary].value) else None


def forget(root: Path, results: Sequence[Result]) -> None:
    """Removes columns of results that are no longer there."""
    wanted = {_place(root, result).name for result in results}
    for path in (root / TABLES).glob("*.parquet"):
        if path.name not in wanted:
            path.unlink()


def _place(root: Path, result: Result) -> Path:
    return root / TABLES / f"{result.items_digest}.parquet"


def of_whole_set(metric: str) -> bool:
    """Whether a metric looks at all items together, before it reduces them: its score is no mean of a column."""
    try:
        return hasattr(registry.metric(metric), "finish")
    except UnknownNameError:
        return False


def _left_out(metric: str) -> frozenset[str]:
    try:
        return frozenset(registry.metric(metric).left_out)
    except UnknownNameError:
        return frozenset()
