"""Arrays that are larger than memory: `.npy` files that are mapped, and whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from xmbench.storage.files import writing


def create_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """A new `.npy` file, mapped for writing, with its place on the disk taken.

    Raises:
        OutputError: the folder cannot be written, or the disk is too full. Without the place taken, a full disk
            would end the process at some later write, without a word.
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
        ValueError, OSError: it is missing, cut, or no such file.
    """
    # "c", not "r": PyTorch warns of arrays that cannot be written.
    array: NDArray[Any] = np.load(path, mmap_mode="r+" if writable else "c", allow_pickle=False)
    return array
