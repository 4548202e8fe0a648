"""Outputs of a model: checked, encoded, written to one parquet file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xmbench.errors import CheckError, DatasetError
from xmbench.formats.dataset import Dataset
from xmbench.interfaces import SIDES, Conditions, Direction, Modality
from xmbench.media import audio, image

BATCH = 64
GROUP_ROWS = 1000
DICTIONARY_BYTES = 64 * 2**20  # more than the distinct clips of a row group: repeated clips are stored once


def shuffled(batches: Iterator[Conditions], seed: int) -> Iterator[Conditions]:
    """Gives each id another item's condition (and label, and reference): one cycle through a seeded order of the ids.

    Raises:
        DatasetError: fewer than two items.
    """
    parts = list(batches)
    ids = [item for part in parts for item in part.ids]
    if len(ids) < 2:
        raise DatasetError("conditions of fewer than two items cannot be shuffled")
    order = sorted(range(len(ids)), key=lambda i: hashlib.sha256(f"{seed}:shuffle:{ids[i]}".encode()).digest())
    source = np.empty(len(ids), dtype=np.int64)
    source[order] = np.roll(order, -1)
    inputs = np.concatenate([part.inputs for part in parts])[source]
    known = [part.labels for part in parts if part.labels is not None]
    labels = np.concatenate(known)[source] if known else None
    given = [part.references for part in parts if part.references is not None]
    references = np.concatenate(given)[source] if given else None
    for start in range(0, len(ids), BATCH):
        part = slice(start, start + BATCH)
        part_labels = None if labels is None else labels[part]
        part_references = None if references is None else references[part]
        yield Conditions(tuple(ids[part]), inputs[part], part_labels, part_references)


class Outputs:
    """Checks outputs, and writes `outputs.parquet`: columns id and bytes (16-bit wav, or png)."""

    SCHEMA = pa.schema([("id", pa.string()), ("bytes", pa.binary())])

    def __init__(self, dataset: Dataset, direction: Direction) -> None:
        self._task = dataset.recipe.task
        forms: dict[Modality, tuple[tuple[int, ...], Callable[[NDArray[Any]], bytes | str]]] = {
            "audio": ((self._task.audio.samples,), self._wav),
            "image": ((self._task.image.height_px, self._task.image.width_px, self._task.image.channels), self._png),
        }
        self._shape, self._encode = forms[SIDES[direction].output]
        self._rows: list[tuple[str, bytes]] = []
        self._problems: list[str] = []
        self.items = self.clipped = 0

    def open(self, path: Path) -> pq.ParquetWriter:
        """Opens the file; rows are kept in memory until a row group is full."""
        self._file = pq.ParquetWriter(
            path, self.SCHEMA, compression="zstd", use_dictionary=["bytes"], dictionary_pagesize_limit=DICTIONARY_BYTES
        )
        return self._file

    def add(self, ids: tuple[str, ...], outputs: NDArray[Any]) -> None:
        """Adds one batch: float (B, T) in -1..1, or uint8 (B, H, W, C); raises CheckError for another shape."""
        shape = (len(ids), *self._shape)
        if outputs.shape != shape:
            raise CheckError(f"the model gave outputs of shape {outputs.shape}", expected=str(shape))
        for item, output in zip(ids, outputs, strict=True):
            self.items += 1
            made = self._encode(output)
            if isinstance(made, str):
                self._problems.append(f"{item}: {made}")
            else:
                self._rows.append((item, made))
        if len(self._rows) >= GROUP_ROWS:
            self._flush()

    def finish(self) -> None:
        """Writes the last rows; raises CheckError if any output was not finite, or not an 8-bit image."""
        if self._problems:
            raise CheckError(
                f"{len(self._problems)} of {self.items} outputs are not finite or not 8-bit; no submission written",
                problems=self._problems,
                todo="the training went wrong: see curves.csv; try a lower learning rate",
            )
        self._flush()

    def _png(self, output: NDArray[Any]) -> bytes | str:
        """A PNG file, or the problem; pixels of another type are neither rescaled nor rounded."""
        return image.encode_png(output) if output.dtype == np.uint8 else f"pixels of type {output.dtype}, not uint8"

    def _wav(self, output: NDArray[Any]) -> bytes | str:
        if not np.isfinite(output).all():
            return "not finite"
        scaled = np.rint(np.asarray(output, dtype=np.float64) * audio.FULL_SCALE)
        self.clipped += int(((scaled > audio.FULL_SCALE - 1) | (scaled < -audio.FULL_SCALE)).sum())
        return audio.encode_wav(audio.to_int16(output), self._task.audio.sample_rate_hz)

    def _flush(self) -> None:
        if self._rows:
            ids, data = zip(*self._rows, strict=True)
            table = pa.table({"id": list(ids), "bytes": list(data)}, schema=self.SCHEMA)
            self._file.write_table(table, row_group_size=GROUP_ROWS)
            self._rows = []
