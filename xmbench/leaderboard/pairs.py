"""Which systems of a board the data separate: differences of the primary metric under one paired bootstrap.

Two systems are scored on the same items, so their scores vary together over the resamples; the interval of the
difference is narrower than the two separate intervals suggest. The values of the items are kept with the results
(`columns`). Boards of protocol 1 have none: their comparisons are in `pairs.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from xmbench.formats import item_scores
from xmbench.formats.document import Document, Part
from xmbench.formats.recipe import Name, Sha256
from xmbench.formats.result import Result, Score
from xmbench.leaderboard.entries import Entry, entries
from xmbench.statistics import RESAMPLES, SEED, Counted, ends, resampled_means


class Pairing(Part):
    """Two entries' primary metric: mean of `a` minus mean of `b`, with its 95 % interval over items.

    `a` and `b` are the entries' digests, for a single run that of its per-item table: an entry that changes, or gets
    another seed, loses its pairings.
    """

    metric: Name
    a: Sha256
    b: Sha256
    difference: float
    low: float
    high: float


class Pairs(Document):
    """`pairs.json`: the paired comparisons of one track under protocol 1."""

    schema_: Literal["xmbench/pairs/1"] = Field(default="xmbench/pairs/1", alias="schema")
    track: str
    resamples: int = RESAMPLES
    seed: int = SEED
    pairs: tuple[Pairing, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """All known pairings, by metric and the digests of the two entries."""

    known: Mapping[tuple[str, str, str], Pairing] = field(default_factory=dict)

    @classmethod
    def of(cls, pairs: Iterable[Pairing]) -> Compared:
        """From the rows of documents."""
        return cls({(pair.metric, pair.a, pair.b): pair for pair in pairs})

    def between(self, a: Entry, b: Entry) -> Pairing | None:
        """The pairing of two entries of one board as `a` minus `b`, or None if they were not compared."""
        found = self.known.get((a.result.primary, a.digest, b.digest))
        if found is not None:
            return found
        reverse = self.known.get((a.result.primary, b.digest, a.digest))
        if reverse is None:
            return None
        return Pairing(
            metric=reverse.metric,
            a=reverse.b,
            b=reverse.a,
            difference=-reverse.difference,
            low=-reverse.high,
            high=-reverse.low,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """What a paired bootstrap needs of a result.

    Attributes:
        ids, groups: N each.
        counted: the primary metric of the N items, and which of them enter its mean.
    """

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    counted: Counted

    @property
    def values(self) -> NDArray[np.float64]:
        """Shape (N,), the floor where an item failed."""
        return self.counted.values

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Shape (N,): False for items that leave the mean."""
        return self.counted.counts

    def fits(self, other: Column) -> bool:
        """Whether both have the same items."""
        return self.ids == other.ids and self.groups == other.groups


def column(items: pa.Table, metric: str, score: Score) -> Column | None:
    """One metric of a per-item table; None if its score is not the mean of items' own values (distributions).

    Args:
        items: the table that `xmbench score` writes.
        metric: a name among its columns.
        score: of that metric, as the result states it.
    """
    found = None if score.whole_set else item_scores.column(items, metric, score)
    if found is None:
        return None
    ids = tuple(str(name) for name in items.column("id").to_pylist())
    return Column(ids, tuple(item_scores.clusters(items, score)), found)


def of_board(found: Sequence[Entry], columns: Mapping[str, Column]) -> Compared:
    """Compares every two entries of a board whose values are known.

    Args:
        found: the entries.
        columns: by the digests of the results' per-item tables.
    """
    return Compared.of(pair for i, entry in enumerate(found) for pair in pair_up(entry, found[i + 1 :], columns))


def compare(first: Sequence[Column], others: Sequence[Sequence[Column]]) -> list[tuple[float, float, float]]:
    """Differences of two systems' means over their seeds, `first` minus each other, under the same resamples.

    Args:
        first: the runs of one system, one for most.
        others: the same of other systems, all with the same ids and groups.

    Returns:
        (difference, low, high) of each, low..high the 95 % percentile interval over items.
    """
    systems = (first, *others)
    runs = [run for system in systems for run in system]
    values, kept = (np.stack(part, axis=1) for part in zip(*((c.values, c.kept) for c in runs), strict=True))
    drawn = resampled_means(values, kept, first[0].groups)  # (resamples, runs)
    marks = np.cumsum([len(system) for system in systems])[:-1]
    means = [part.mean(axis=1) for part in np.split(drawn, marks, axis=1)]
    scores = [float(np.mean([run.counted.mean for run in system])) for system in systems]
    return [(scores[0] - score, *ends(means[0] - other)) for score, other in zip(scores[1:], means[1:], strict=True)]


def pair_up(new: Entry, others: Sequence[Entry], columns: Mapping[str, Column]) -> list[Pairing]:
    """Compares an entry with others of its board, if the per-item values of all runs are available.

    Args:
        new: a system.
        others: of the same board.
        columns: by the digests of the results' per-item tables.
    """
    own = _columns(new, columns)
    if own is None:
        return []
    known = [(other, found) for other in others if (found := _columns(other, columns)) is not None]
    same = [(other, found) for other, found in known if own[0].fits(found[0])]
    if not same:
        return []
    verdicts = compare(own, [found for _, found in same])
    return [
        Pairing(metric=new.result.primary, a=new.digest, b=other.digest, difference=difference, low=low, high=high)
        for (other, _), (difference, low, high) in zip(same, verdicts, strict=True)
    ]


def _columns(entry: Entry, columns: Mapping[str, Column]) -> list[Column] | None:
    """The columns of all runs, or None if one is not available or has other items."""
    found = [columns[run.items_digest] for run in entry.runs if run.items_digest in columns]
    complete = len(found) == len(entry.runs) and all(found[0].fits(column) for column in found)
    return found if complete else None


def compared(scored: Sequence[tuple[Result, pa.Table]]) -> Compared:
    """Compares every two of some results of one board, given with their per-item tables."""
    columns = {}
    for result, items in scored:
        own = column(items, result.primary, result.scores[result.primary])
        if own is not None:
            columns[result.items_digest] = own
    return of_board(entries([result for result, _ in scored]), columns)
