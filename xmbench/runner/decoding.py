"""Decodes a split into arrays, a row group at a time, in as many processes as there are cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xmbench.errors import DatasetError
from xmbench.execution.engine import available_workers
from xmbench.execution.executor import run_tasks
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_clip, read_image
from xmbench.storage.arrays import open_array

IMAGES_FILE, CLIPS_FILE = "images.npy", "clips.npy"
POOL_FROM_ROWS = 5_000  # decoding fewer rows is faster than starting a pool
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Group:
    """One row group, and the positions of its rows.

    Attributes:
        path: the shard.
        number: index of the row group in it.
        rows: position of each of its rows in the split, int64 (R,).
        clips: rows of this group whose clip is kept, with the clip's position: int64 (R', 2).
    """

    path: Path
    number: int
    rows: NDArray[np.int64]
    clips: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """A split without its media, in the order of the ids; takes are numbered in the order of first appearance."""

    ids: list[str]
    labels: NDArray[np.int64]
    groups_of: list[str]
    clip_index: NDArray[np.int64]
    clips: int
    groups: list[Group]

    def table(self) -> pa.Table:
        """Columns id, label, group, clip."""
        return pa.table({"id": self.ids, "label": self.labels, "group": self.groups_of, "clip": self.clip_index})


def rows_of(dataset: Dataset, split: str) -> Rows:
    """Reads everything but the media, and the position of every row of every shard.

    Raises:
        DatasetError: a shard cannot be read.
    """
    parts, sizes = [], []
    for path in dataset.shards(split):
        try:
            with pq.ParquetFile(path) as file:
                parts.append(file.read(columns=["id", "label", "take", "group"]))
                sizes += [(path, i, file.metadata.row_group(i).num_rows) for i in range(file.num_row_groups)]
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(path, error) from error
    table = pa.concat_tables(parts)
    order = np.argsort(np.array(table.column("id").to_pylist()), kind="stable")
    table = table.take(order)
    takes = table.column("take").combine_chunks().dictionary_encode()  # in the order of first appearance
    clip_index = np.array(takes.indices, dtype=np.int64)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    _, first = np.unique(clip_index, return_index=True)
    return Rows(
        ids=table.column("id").to_pylist(),
        labels=np.array(table.column("label"), dtype=np.int64),
        groups_of=[str(group) for group in table.column("group").to_pylist()],
        clip_index=clip_index,
        clips=len(first),
        groups=list(_groups(sizes, place, clip_index, np.isin(np.arange(len(order)), first))),
    )


def _groups(
    sizes: Sequence[tuple[Path, int, int]],
    place: NDArray[np.int64],
    clip_index: NDArray[np.int64],
    kept: NDArray[np.bool_],
) -> Iterator[Group]:
    start = 0
    for path, number, count in sizes:
        rows = place[start : start + count]
        local = np.flatnonzero(kept[rows])
        yield Group(path, number, rows, np.stack([local, clip_index[rows[local]]], axis=1))
        start += count


def decode(dataset: Dataset, folder: Path, groups: Sequence[Group]) -> Iterator[int]:
    """Fills `images.npy` and `clips.npy` of a directory; yields the number of rows of each finished group.

    Raises:
        DatasetError: a shard or an item cannot be read.
    """
    small = sum(len(group.rows) for group in groups) < POOL_FROM_ROWS
    workers = 1 if small else min(available_workers(), len(groups))
    yield from run_tasks(_decode_group, groups, shared=(dataset, folder), workers=workers, ordered=False)


def _decode_group(shared: tuple[Dataset, Path], group: Group) -> int:
    dataset, folder = shared
    images = open_array(folder / IMAGES_FILE, writable=True)
    clips = open_array(folder / CLIPS_FILE, writable=True)
    try:
        with pq.ParquetFile(group.path) as file:
            with_images = file.read_row_group(group.number, columns=["id", "image"])
            with_clips = file.read_row_group(group.number, columns=["id", "audio"]) if len(group.clips) else None
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(group.path, error) from error
    for target, row in zip(group.rows, _rows(with_images), strict=True):
        images[target] = read_image(row, dataset)
    if with_clips is not None:
        for (_, target), row in zip(group.clips, _rows(with_clips.take(group.clips[:, 0])), strict=True):
            clips[target] = read_clip(row, dataset)
    return len(group.rows)


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _unreadable(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"the shard cannot be read ({str(error)[:200]})", where=path, todo="run `xmbench validate`")
