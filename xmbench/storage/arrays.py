"""Arrays that are larger than memory: memory-mapped `.npy` files, complete or absent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from xmbench.storage.files import writing


def create_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """A new `.npy` file, mapped for writing, with its space on the disk allocated.

    Raises:
        OutputError: the directory cannot be written, or the disk is too full. Without the space allocated, a full
            disk would kill the process at some later write, without a message.
    """
    with writing(path.parent):
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("rb+") as handle:
                os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)
    return array


def open_array(path: Path, *, writable: bool = False) -> NDArray[Any]:
    """A `.npy` file, mapped; what is written to it stays in memory, unless it is opened as `writable`.

    Raises:
        ValueError, OSError: it is missing, cut, or not a `.npy` file.
    """
    # "c", not "r": PyTorch warns of arrays that cannot be written.
    array: NDArray[Any] = np.load(path, mmap_mode="r+" if writable else "c", allow_pickle=False)
    return array
