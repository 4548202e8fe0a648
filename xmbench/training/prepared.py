"""Derived training data that a model computes once: resized images, log-mel spectra."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import Examples
from xmbench.storage.arrays import create_array, open_array
from xmbench.storage.files import make_folder, replacing

BATCH = 256


def prepared(
    examples: Examples,
    name: str,
    function: Callable[[NDArray[Any]], NDArray[Any]],
    of: Literal["images", "clips"] = "images",
) -> NDArray[Any]:
    """An array with one row per image or per distinct clip, computed once and kept with the decoded data.

    Args:
        examples: training items; where they have no `store` (a small set), the result stays in memory.
        name: of the file. It must change with what the function computes ("log-mel-80-256").
        function: images uint8 (B, H, W, C) or clips int16 (B, T) -> (B, ...).
        of: what it is computed from.

    Returns:
        An array (N, ...) or (M, ...), memory-mapped if it is kept on disk.

    Raises:
        OutputError: the disk is full.
    """
    source = examples.images if of == "images" else examples.clips
    if examples.store is None:
        return np.concatenate(list(_batches(source, function)))
    path = examples.store / "prepared" / f"{name}.npy"
    if not path.is_file():
        make_folder(path.parent)
        with replacing(path) as temporary:
            done = 0
            made: NDArray[Any] | None = None
            for part in _batches(source, function):
                if made is None:
                    made = create_array(temporary, (len(source), *part.shape[1:]), part.dtype)
                made[done : done + len(part)] = part
                done += len(part)
            del made  # closes the map, so that the renamed file is complete
    return open_array(path)


def _batches(source: NDArray[Any], function: Callable[[NDArray[Any]], NDArray[Any]]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(source), BATCH):
        rows = source[start : start + BATCH]
        made = function(rows)
        if len(made) != len(rows):
            raise ValueError(f"{len(made)} rows were made of {len(rows)}")
        yield made
