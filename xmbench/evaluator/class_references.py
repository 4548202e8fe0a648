"""The distinct references of a split in one file that every worker maps: for metrics that look at a whole class."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

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
        file, seen, labels, clips = Path(folder) / "references.npy", set(), [], []
        for row in dataset.rows(split, ["audio", "label"]):
            key = (sha256(row["audio"]["bytes"]).digest(), int(row["label"]))
            if key not in seen:
                seen.add(key)
                labels.append(key[1])
                clips.append(read_clip(row, dataset))
        np.save(file, np.stack(clips))
        yield ClassReferences(file, tuple(labels), dataset.recipe.audio.sample_rate_hz)
