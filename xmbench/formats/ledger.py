"""What became of every planned item: `planned = written + filtered + failed`, per split and class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xmbench.errors import DatasetError, DocumentError
from xmbench.formats.dataset import Counts, Manifest
from xmbench.formats.tables import Bound, open_table
from xmbench.interfaces import Rejected
from xmbench.printable import shown

MOST_ROWS = 2_000_000
_LONGEST_ROW = 1 << 10  # bytes, on average

SCHEMA = pa.schema(
    {
        "kind": pa.string(),
        "id": pa.string(),
        "split": pa.string(),
        "label": pa.string(),
        "stage": pa.string(),
        "reason": pa.string(),
        "filtered": pa.bool_(),
        "temporary": pa.bool_(),
        "detail": pa.string(),
        "attempts": pa.int32(),
    }
)


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """An item (or take) that did not become a row.

    Attributes:
        kind: "item" is counted; "take", for a clip that could not be used, is not.
        id: of the item, or key of the take.
        split: "train" or "test"; "any" for a take of both.
        label: name of the class.
        stage, reason, filtered, temporary, detail: as in `Rejected`.
        attempts: how often it was tried.
    """

    kind: str
    id: str
    split: str
    label: str
    stage: str
    reason: str
    filtered: bool
    temporary: bool
    detail: str
    attempts: int = 1

    @classmethod
    def of(cls, kind: str, name: str, split: str, label: str, rejected: Rejected) -> LedgerRow:
        """The row of a rejection."""
        return cls(
            kind,
            name,
            split,
            label,
            rejected.stage,
            rejected.reason,
            rejected.filtered,
            rejected.temporary,
            rejected.detail,
        )


def count(
    planned: Mapping[tuple[str, str], int], written: Mapping[tuple[str, str], int], rows: Iterable[LedgerRow]
) -> dict[tuple[str, str], Counts]:
    """Counts of each (split, class name); takes are left out."""
    filtered: dict[tuple[str, str], Counter[str]] = {place: Counter() for place in planned}
    failed: dict[tuple[str, str], Counter[str]] = {place: Counter() for place in planned}
    for row in rows:
        if row.kind == "item":
            ways = filtered if row.filtered else failed
            ways.setdefault((row.split, row.label), Counter())[row.reason] += 1
    return {
        place: Counts(
            planned=number,
            written=written.get(place, 0),
            filtered=dict(sorted(filtered[place].items())),
            failed=dict(sorted(failed[place].items())),
        )
        for place, number in planned.items()
    }


def total(parts: Iterable[Counts]) -> Counts:
    """The sum of several counts."""
    planned = written = 0
    filtered: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for part in parts:
        planned, written = planned + part.planned, written + part.written
        filtered.update(part.filtered)
        failed.update(part.failed)
    return Counts(
        planned=planned, written=written, filtered=dict(sorted(filtered.items())), failed=dict(sorted(failed.items()))
    )


def imbalances(counts: Mapping[tuple[str, str], Counts]) -> list[str]:
    """One line for each split and class whose items are not all accounted for."""
    return [
        f"{split}, class '{label}': {part.planned} planned, but {part.written} written + "
        f"{sum(part.filtered.values())} filtered + {sum(part.failed.values())} failed"
        for (split, label), part in counts.items()
        if not part.balanced
    ]


def write(path: Path, rows: Sequence[LedgerRow]) -> None:
    """Writes `ledger.parquet`, rows sorted."""
    ordered = sorted(rows, key=lambda row: (row.kind, row.split, row.id))
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in ordered], schema=SCHEMA), path)


def rows_allowed(manifest: Manifest) -> int:
    """How many rows the ledger of a data set may have: items without a row, and takes that could not be used."""
    return 4 * sum(record.counts.planned for record in manifest.splits.values()) + 200_000


def read(path: Path, most: int = MOST_ROWS) -> list[LedgerRow]:
    """Reads `ledger.parquet`.

    Args:
        path: of the file.
        most: rows that it may have (`rows_allowed`, where the manifest is known).

    Raises:
        DatasetError: it is missing, damaged or of another shape.
    """
    bound = most * _LONGEST_ROW
    try:
        table = open_table(path, dict.fromkeys(SCHEMA.names, Bound(bound)), most).read(bound)
        if table.schema != SCHEMA:
            raise DocumentError("columns of another type", where=path)
        if empty := [name for name in SCHEMA.names if table.column(name).null_count]:
            raise DocumentError(f"empty cells in column {', '.join(empty)}", where=path)
        return [LedgerRow(**row) for row in table.to_pylist()]
    except (DocumentError, TypeError) as error:
        reason = error.what if isinstance(error, DocumentError) else shown(str(error), 200)
        raise DatasetError(
            f"the ledger cannot be read: {reason}",
            where=path,
            expected="the ledger.parquet that `xmbench build` wrote",
            todo="run the same `xmbench build` again",
        ) from error
