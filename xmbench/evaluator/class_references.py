"""The distinct references of a split in one file that every worker maps: for metrics that compare with a class."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_clip
from xmbench.interfaces import ClassReferences


@contextmanager
def gathered(dataset: Dataset, split: str) -> Iterator[ClassReferences]:
    """The distinct clips of each class, in the order of their first ids; the file is removed at the end.

    Args:
        dataset: a data set with sound.
        split: the scored one.
    """
    with tempfile.TemporaryDirectory(prefix="xmbench-references-") as folder:
        file = Path(folder) / "references.npy"
        labels: list[int] = []
        samples = dataset.recipe.audio.samples
        with file.open("w+b") as stream:  # in memory all clips of a large split would need gigabytes
            _write_header(stream, 0, samples)
            for row in _distinct(dataset, split):
                stream.write(read_clip(row, dataset).astype("<i2").tobytes())
                labels.append(int(row["label"]))
            stream.seek(0)
            _write_header(stream, len(labels), samples)
        yield ClassReferences(file, tuple(labels), dataset.recipe.audio.sample_rate_hz)


def _write_header(stream: BinaryIO, clips: int, samples: int) -> None:
    """Writes a .npy header. Its length is the same for any number of clips: numpy leaves room for the first axis."""
    header = {"descr": "<i2", "fortran_order": False, "shape": (clips, samples)}
    np.lib.format.write_array_header_1_0(stream, header)


def _distinct(dataset: Dataset, split: str) -> Iterator[dict[str, Any]]:
    """The rows in which a clip appears in a class for the first time."""
    seen = set()
    for row in dataset.rows(split, ["audio", "label"]):
        key = (sha256(row["audio"]["bytes"]).digest(), int(row["label"]))
        if key not in seen:
            seen.add(key)
            yield row
