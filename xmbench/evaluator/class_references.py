"""The distinct references of a split in one file that every worker maps: for metrics that look at a whole class."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_clip
from xmbench.interfaces import ClassReferences


@contextmanager
def gathered(dataset: Dataset, split: str) -> Iterator[ClassReferences]:
    """The distinct clips of each class, in the order of their first ids; the file goes at the end.

    Args:
        dataset: a data set with sound.
        split: the scored one.
    """
    with tempfile.TemporaryDirectory(prefix="xmbench-references-") as folder:
        file = Path(folder) / "references.npy"
        labels: list[int] = []
        # Read twice, first to count: in memory all clips of a large split would need gigabytes.
        shape = sum(1 for _ in _distinct(dataset, split)), dataset.recipe.audio.samples
        clips = np.lib.format.open_memmap(file, "w+", np.int16, shape)
        for row in _distinct(dataset, split):
            clips[len(labels)] = read_clip(row, dataset)
            labels.append(int(row["label"]))
        del clips
        yield ClassReferences(file, tuple(labels), dataset.recipe.audio.sample_rate_hz)


def _distinct(dataset: Dataset, split: str) -> Iterator[dict[str, Any]]:
    """The rows in which a clip stands for a class for the first time."""
    seen = set()
    for row in dataset.rows(split, ["audio", "label"]):
        key = (sha256(row["audio"]["bytes"]).digest(), int(row["label"]))
        if key not in seen:
            seen.add(key)
            yield row
