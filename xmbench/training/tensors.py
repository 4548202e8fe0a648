"""Training examples on the device, by row: resident where they fit, else read one batch ahead."""

from __future__ import annotations

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmbench.interfaces import Examples, Run
from xmbench.training.validation import carve_validation

FULL_SCALE = 32768.0


class Tensors:
    """Training examples as tensors.

    Images and clips stay uint8 and int16: on the GPU where they fit into half of its free memory, else on the host
    (in memory or mapped from the disk), from which batches go through pinned memory.

    Attributes:
        rows: int64, the items to train on, on the host like the attributes below.
        held_out: int64, the items that select a model (`carve_validation`); it may be empty.
        validation_ids: ids of the held-out items, for `Phase`.
        labels: int64 (N,).
        clip_index: int64 (N,): `waveforms(clip_index[rows])` belongs to `pixels(rows)`.
    """

    def __init__(self, examples: Examples, run: Run) -> None:
        rows, held_out = carve_validation(examples.ids, examples.labels, examples.groups, run.seed)
        self.rows, self.held_out = torch.from_numpy(rows), torch.from_numpy(held_out)
        self._ids = examples.ids
        self.labels = torch.from_numpy(examples.labels)
        self.clip_index = torch.from_numpy(examples.clip_index)
        free = torch.cuda.mem_get_info()[0] // 2 if run.device == "cuda" else 0
        self._images = _Rows(examples.images, run.device, free)
        self._clips = _Rows(examples.clips, run.device, free - self._images.on_device)

    @property
    def validation_ids(self) -> tuple[str, ...]:
        """See the class."""
        return tuple(self._ids[i] for i in self.held_out.tolist())

    def chosen(self, rows: Tensor, held_out: Tensor) -> Tensors:
        """The same data with other items to train on and to hold out, both int64."""
        found = copy.copy(self)
        found.rows, found.held_out = rows, held_out
        return found

    def pixels(self, rows: Tensor) -> Tensor:
        """Images of some items, int64 (B,) -> uint8 (B, H, W, C) on the device."""
        return self._images.take(rows)

    def waveforms(self, clips: Tensor) -> Tensor:
        """Some distinct clips, int64 (B,) -> float32 (B, T) in -1..1 on the device."""
        return self._clips.take(clips).float() / FULL_SCALE

    def ahead(self, rows: Tensor | None = None, clips: Tensor | None = None) -> None:
        """Starts to read what the next `pixels(rows)` and `waveforms(clips)` will return."""
        if rows is not None:
            self._images.ahead(rows)
        if clips is not None:
            self._clips.ahead(clips)


class _Rows:
    """One array by row: resident on the device, in the host's memory, or mapped."""

    def __init__(self, array: NDArray[Any], device: str, budget: int) -> None:
        self._device = device
        self._host = torch.from_numpy(array)
        resident = device != "cpu" and array.nbytes <= budget
        self._resident = self._host.to(device) if resident else None
        self.on_device = array.nbytes if resident else 0
        # Reading ahead helps where reading is slow: from a disk, and through pinned memory to a GPU.
        slow = not resident and (device != "cpu" or isinstance(array, np.memmap))
        self._reader = ThreadPoolExecutor(1, "read-ahead") if slow else None
        self._next: tuple[Tensor, Future[Tensor]] | None = None

    def take(self, rows: Tensor) -> Tensor:
        """Rows int64 (B,), on the host -> (B, ...) on the device."""
        if self._resident is not None:
            return self._resident[rows.to(self._device)]
        read = self._read(rows) if self._next is None else self._awaited(rows)
        return read if self._device == "cpu" else read.to(self._device, non_blocking=True)

    def ahead(self, rows: Tensor) -> None:
        """Starts reading rows in a thread."""
        if self._reader is not None:
            self._next = rows, self._reader.submit(self._read, rows)

    def _awaited(self, rows: Tensor) -> Tensor:
        assert self._next is not None
        expected, future = self._next
        if not torch.equal(expected, rows):
            return self._read(rows)  # another batch (of a validation); the one read ahead is used later
        self._next = None
        return future.result()

    def _read(self, rows: Tensor) -> Tensor:
        if self._device == "cpu":
            return self._host[rows]
        pinned = torch.empty((len(rows), *self._host.shape[1:]), dtype=self._host.dtype, pin_memory=True)
        return torch.index_select(self._host, 0, rows, out=pinned)
