"""Embeddings of a data set's references, cached between runs: a second submission does not embed them again.

::

    <directory>/<sha256 of the network>-<device>.f32     records of: sha256 of the item, embedding (float32), check

The directory is named by the data set, the versions and the machine, so that what is read is what would be computed.
Records are appended under a lock, by any number of processes; an incomplete or damaged one is skipped and computed
again.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import OutputError
from xmbench.media.signal import Media, Sound
from xmbench.storage.locks import locked

_KEY, _CHECK = 32, 8  # bytes


class Embedder(Protocol):
    """What embeds items: a judge, or another network."""

    @property
    def embedding_size(self) -> int:
        """D, any number."""
        ...

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, D)."""
        ...


def embedded_references(
    items: Sequence[Media], network: Embedder, folder: Path, sha256: str, device: str
) -> NDArray[np.float32]:
    """Embeddings (N, D) of references: from the cache, or computed and added to it.

    Args:
        items: references of one data set.
        network: embeds.
        folder: see above.
        sha256: of the network's weights.
        device: where it computes.
    """
    known = _Kept.of(folder / f"{sha256}-{device.replace(':', '-')}.f32", network.embedding_size)
    keys = [_key(item) for item in items]
    lacking = {key: item for key, item in zip(keys, items, strict=True) if key not in known.rows}
    if lacking:
        known.add(list(lacking), network.embed(list(lacking.values())))
    return np.stack([known.rows[key] for key in keys])


def _key(item: Media) -> bytes:
    values = item.samples if isinstance(item, Sound) else item.pixels
    about = f"{item.sample_rate_hz if isinstance(item, Sound) else ''} {values.dtype.str} {values.shape} "
    return hashlib.sha256(about.encode() + np.ascontiguousarray(values).tobytes()).digest()


class _Kept:
    """One file in memory; new rows are appended."""

    def __init__(self, path: Path, size: int) -> None:
        self.path, self.size = path, size
        self.rows: dict[bytes, NDArray[np.float32]] = {}
        self._length = _KEY + 4 * size + _CHECK
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        for start in range(0, len(data) - self._length + 1, self._length):
            record = data[start : start + self._length]
            if _check(record[:-_CHECK]) == record[-_CHECK:]:
                self.rows[record[:_KEY]] = np.frombuffer(record[_KEY:-_CHECK], np.float32)

    @staticmethod
    @functools.lru_cache(maxsize=4)
    def of(path: Path, size: int) -> _Kept:
        """The file, read once per process."""
        return _Kept(path, size)

    def add(self, keys: Sequence[bytes], found: NDArray[np.float32]) -> None:
        """Adds rows (N, D); if the directory is not writable, the next run computes them again."""
        bodies = [key + np.asarray(row, np.float32).tobytes() for key, row in zip(keys, found, strict=True)]
        self.rows.update(zip(keys, np.asarray(found, np.float32), strict=True))
        try:
            with locked(self.path.with_suffix(".lock"), wait=True), self.path.open("ab") as file:
                file.truncate(file.tell() // self._length * self._length)  # an incomplete record of a killed process
                file.write(b"".join(body + _check(body) for body in bodies))
        except (OSError, OutputError):
            return


def _check(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK).digest()
