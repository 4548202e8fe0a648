"""The values of single items that stand beside each result, so that any machine compares two systems pair by pair.

::

    items-<digest>.parquet     the items of one data set on this track: id, label, groups; one for all its results
    <system>.column.parquet    the primary metric of each item, float32; of a row that the tool made, every metric
                               and the first bytes of each output's sha256

A value is null where the item leaves the mean; a failed item has the lower bound. Each column names the result and the
items that it belongs to, and carries the sha256 of its values: a damaged or exchanged file is named.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xmbench.errors import DocumentError
from xmbench.formats import item_scores
from xmbench.formats.extremes import json_of
from xmbench.formats.result import Result
from xmbench.formats.tables import open_table
from xmbench.leaderboard.places import items_place, place
from xmbench.leaderboard.ranking import Column
from xmbench.statistics import Counted

COLUMN_SUFFIX = ".column.parquet"
_SIDES = ("condition_group", "reference_group")  # whose groups a metric depends on
_DIGEST_BYTES = 8  # of an output's sha256: enough to tell the outputs of one board apart
_CELL = 1 << 10  # bytes of a cell, at most
_SLACK = 1 << 20
_SINGLE = 1e-6  # float32: a mean of rounded values differs by less, relative to the largest of them
_KEY = b"xmbench"


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """The content of a column's file.

    Attributes:
        values: metric -> (N,) values, NaN where an item leaves the mean; the primary metric, or every metric of a row
            that the tool made.
        outputs: first bytes of the sha256 of each output, hexadecimal; empty unless the tool made the row.
    """

    values: Mapping[str, NDArray[np.float32]]
    outputs: tuple[str, ...] = field(default=())


def of(root: Path, result: Result) -> Column | None:
    """The primary metric of each item of a result on a board; None for distributions, which have no such values.

    Raises:
        DocumentError: a file is missing or damaged, belongs to another result, or does not give the stated score.
    """
    if not has_column(result):
        return None
    stored, items = read(root, result), read_items(root, result)
    values = stored.values.get(result.primary)
    if values is None:
        raise _wrong(column_place(root, result), f"it has no values of {result.primary}")
    counted = values[~np.isnan(values)].astype(np.float64)
    mean, score = float(counted.mean()) if len(counted) else None, result.scores[result.primary].value
    largest = max(1.0, float(np.abs(counted).max(initial=0.0)))
    if mean is None or score is None or abs(mean - score) > _SINGLE * largest:
        raise _wrong(column_place(root, result), f"its mean is {mean}, but the score is {score}")
    return as_column(result, items, values)


def has_column(result: Result) -> bool:
    """Whether items have values of their own in the primary metric."""
    score = result.scores.get(result.primary)
    return score is not None and score.value is not None and score.floor is not None and not score.whole_set


def column_place(root: Path, result: Result) -> Path:
    """The path of a result's column."""
    return place(root, result).with_suffix(COLUMN_SUFFIX)


def made_column(result: Result, items: pa.Table, *, every: bool) -> bytes | None:
    """The content of a column's file; None where no metric has values of single items.

    Args:
        result: as it will stand on the board.
        items: its per-item table.
        every: all metrics and the outputs' digests, for the rows that the tool made: later results are compared with
            them item by item.
    """
    names = list(result.scores) if every else [result.primary] if has_column(result) else []
    data: dict[str, pa.Array] = {}
    for name in names:
        found = item_scores.column(items, name, result.scores[name])
        if found is not None:
            data[name] = pa.array(column_values(found), pa.float32(), mask=~found.counts)
    if every:
        digests = [bytes.fromhex(text)[:_DIGEST_BYTES] for text in items.column("output_sha256").to_pylist()]
        data["output_sha256"] = pa.array(digests, pa.binary())
    if not data:
        return None
    table = pa.table(data)
    facts = {"result": result.items_digest, "items": items_digest(items), "sha256": _digest(table)}
    return _written(table, facts)


def primary_values(result: Result, items: pa.Table) -> NDArray[np.float32] | None:
    """The primary metric of each item as `of` gives it, from a per-item table; None for distributions."""
    found = item_scores.column(items, result.primary, result.scores[result.primary]) if has_column(result) else None
    return None if found is None else column_values(found)


def as_column(result: Result, items: pa.Table, values: NDArray[np.float32]) -> Column:
    """Values of the primary metric with the ids of a table's items and the groups that the metric depends on."""
    ids = tuple(str(name) for name in items.column("id").to_pylist())
    return Column(ids, tuple(item_scores.clusters(items, result.scores[result.primary])), values)


def column_values(found: Counted) -> NDArray[np.float32]:
    """What each item counts, float32 (N,); NaN where it leaves the mean."""
    return np.where(found.counts, found.values, np.nan).astype(np.float32)


def made_items(items: pa.Table) -> bytes:
    """The content of the file of items, from a per-item table."""
    return _written(_of_items(items), {"sha256": items_digest(items)})


def items_digest(items: pa.Table) -> str:
    """sha256 of the items of a per-item table: their ids, labels and groups."""
    return _digest(_of_items(items))


def _of_items(items: pa.Table) -> pa.Table:
    """The columns that say what the items are."""
    return items.select(["id", "label", "group", *(name for name in _SIDES if name in items.column_names)])


def read(root: Path, result: Result) -> Stored:
    """The column's file of a result.

    Raises:
        DocumentError: it is missing or damaged, or belongs to another result or to other items.
    """
    path, rows = column_place(root, result), max((score.n for score in result.scores.values()), default=0)
    table, facts = _read(path, rows)
    if facts.get("result") != result.items_digest:
        raise _wrong(path, "it belongs to another result")
    if facts.get("items") != items_digest(read_items(root, result)):
        raise _wrong(path, "it belongs to other items than those of its data set here")
    outputs: tuple[str, ...] = ()
    values = {}
    for name in table.column_names:
        if name == "output_sha256":
            outputs = tuple(data.hex() for data in table.column(name).to_pylist())
        else:
            values[name] = table.column(name).to_numpy(zero_copy_only=False).astype(np.float32)
    if table.num_rows != rows:
        raise _wrong(path, f"{table.num_rows} values of {rows} items")
    return Stored(values, outputs)


def read_items(root: Path, result: Result) -> pa.Table:
    """The items of a result's data set: id, label and group.

    Raises:
        DocumentError: the file is missing or damaged.
    """
    rows = max((score.n for score in result.scores.values()), default=0)
    path = items_place(root, result)
    table, _ = _read(path, rows)
    if missing := [name for name in ("id", "label", "group") if name not in table.column_names]:
        raise _wrong(path, f"without the column(s) {', '.join(missing)}")
    return table


def _read(path: Path, rows: int) -> tuple[pa.Table, dict[str, Any]]:
    """A file of this module and what it says of itself, with its values checked."""
    opened = open_table(path, None, rows, bound=rows * _CELL + _SLACK)
    table = opened.read(64 * (rows * _CELL + _SLACK))
    try:
        facts = json_of((opened.file.schema_arrow.metadata or {})[_KEY])
    except (KeyError, ValueError, RecursionError) as error:
        raise _wrong(path, "not a file that `xmbench leaderboard add` wrote") from error
    if not isinstance(facts, dict) or facts.get("sha256") != _digest(table):
        raise _wrong(path, "its values are not those that were written")
    return table, facts


def _wrong(path: Path, what: str) -> DocumentError:
    return DocumentError(what, where=path, todo="add the result again: `xmbench leaderboard add RESULT --replace`")


def _digest(table: pa.Table) -> str:
    """sha256 of names and values."""
    total = hashlib.sha256()
    for name in table.column_names:
        total.update(f"{name}\n{table.column(name).to_pylist()!r}\n".encode())
    return total.hexdigest()


def _written(table: pa.Table, facts: Mapping[str, str]) -> bytes:
    stream = io.BytesIO()
    named = table.replace_schema_metadata({_KEY: json.dumps(facts).encode()})
    pq.write_table(named, stream, compression="zstd", compression_level=19)
    return stream.getvalue()
