"""Outputs of a model: checked, encoded, written to one parquet file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import CheckError, DatasetError
from xmbench.formats.dataset import Dataset
from xmbench.interfaces import SIDES, Conditions, Direction, Modality
from xmbench.media import audio, image
from xmbench.runner.output_tables import OutputForm, output_table

BATCH = 64


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
    """Checks outputs, and writes `outputs.parquet`: columns id and bytes (16-bit wav or flac, or png).

    With a limit of `form` they are divided among several tables.
    """

    def __init__(self, dataset: Dataset, direction: Direction, form: OutputForm | None = None) -> None:
        self._form = form or OutputForm()
        self._to_file = {"wav": audio.encode_wav, "flac": audio.encode_flac}[self._form.sound]
        self._task = dataset.recipe.task
        forms: dict[Modality, tuple[tuple[int, ...], Callable[[NDArray[Any]], bytes | str]]] = {
            "audio": ((self._task.audio.samples,), self._sound),
            "image": ((self._task.image.height_px, self._task.image.width_px, self._task.image.channels), self._png),
        }
        self._shape, self._encode = forms[SIDES[direction].output]
        self._problems: list[str] = []
        self.items = self.clipped = 0

    @contextmanager
    def open(self, folder: Path) -> Iterator[None]:
        """Opens the table or tables of a submission; they appear when the block succeeds."""
        with output_table(folder, self._form) as self._table:
            yield

    def add(self, ids: tuple[str, ...], outputs: NDArray[Any]) -> None:
        """Adds one batch: float (B, T) in -1..1, or uint8 (B, H, W, C); raises CheckError for another shape."""
        shape = (len(ids), *self._shape)
        if outputs.shape != shape:
            raise CheckError(f"the model gave outputs of shape {outputs.shape}", expected=str(shape))
        rows = []
        for item, output in zip(ids, outputs, strict=True):
            self.items += 1
            made = self._encode(output)
            if isinstance(made, str):
                self._problems.append(f"{item}: {made}")
            else:
                rows.append((item, made))
        self._table.add(rows)

    def finish(self) -> None:
        """Raises CheckError if any output was not finite, or not an 8-bit image."""
        if self._problems:
            raise CheckError(
                f"{len(self._problems)} of {self.items} outputs are not finite or not 8-bit; no submission written",
                problems=self._problems,
                todo="the training went wrong: see curves.csv; try a lower learning rate",
            )

    def _png(self, output: NDArray[Any]) -> bytes | str:
        """A PNG file, or the problem; pixels of another type are neither rescaled nor rounded."""
        return image.encode_png(output) if output.dtype == np.uint8 else f"pixels of type {output.dtype}, not uint8"

    def _sound(self, output: NDArray[Any]) -> bytes | str:
        if not np.isfinite(output).all():
            return "not finite"
        scaled = np.rint(np.asarray(output, dtype=np.float64) * audio.FULL_SCALE)
        self.clipped += int(((scaled > audio.FULL_SCALE - 1) | (scaled < -audio.FULL_SCALE)).sum())
        return self._to_file(audio.to_int16(output), self._task.audio.sample_rate_hz)
