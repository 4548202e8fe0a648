"""Embeddings of a data set's training items, computed once and kept in files that every process maps.

::

    <directory>/<sha256 of the network>-<device>-training.npy     float32 (M, D), then a check of 8 bytes

A file is written under a lock and a temporary name; one that is damaged is written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import JudgeWeights
from xmbench.judges.loading import load
from xmbench.judges.reference_embeddings import Embedder
from xmbench.media.signal import Media
from xmbench.storage.files import replacing
from xmbench.storage.locks import locked

_BATCH = 256
_CHECK = 8  # bytes
_PIECE = 1 << 22


def embed_training(
    items: Callable[[], Iterator[Media]], judge: JudgeWeights, channels: int, folder: Path
) -> dict[str, Path]:
    """Files of the training items' embeddings by a judge and by the random convolutions, by sha256 of the network.

    Args:
        items: gives the items; called if a file is lacking.
        judge: of the track.
        channels: of an item, for the random convolutions.
        folder: of the data set, the versions and the machine, as for the references.

    Raises:
        OutputError: the directory cannot be written.
        PrerequisiteError: the judge cannot be loaded.
    """
    from xmbench.judges import random_convolutions  # networks are imported on use

    device = judge.device.replace(":", "-")
    random = random_convolutions.digest(channels)
    files = {
        judge.sha256: folder / f"{judge.sha256}-{device}-training.npy",
        random: folder / f"{random}-cpu-training.npy",
    }
    if all(_complete(path) for path in files.values()):
        return files
    networks: dict[str, Embedder] = {
        judge.sha256: load(judge.weights, judge.kind, judge.device),
        random: random_convolutions.RandomConvolutions(),
    }
    with locked(folder / "training.lock", wait=True):  # another process may be computing the same
        lacking = {name: path for name, path in files.items() if not _complete(path)}
        if lacking:
            _write(items(), {path: networks[name] for name, path in lacking.items()})
    return files


def read_training(path: Path) -> NDArray[np.float32]:
    """The embeddings of a file (M, D), mapped.

    Raises:
        PrerequisiteError: the file is not on this machine.
    """
    try:
        found: NDArray[np.float32] = np.load(path, mmap_mode="r")
    except OSError as error:
        raise PrerequisiteError(
            "the embeddings of the training items cannot be read on this machine",
            where=path,
            expected="a cache directory that every machine of the cluster sees",
            todo="set XMBENCH_CACHE to a shared directory, or score with --workers instead of Ray",
        ) from error
    return found


def _write(items: Iterator[Media], networks: Mapping[Path, Embedder]) -> None:
    """Embeds the items in one pass, a batch at a time."""
    with ExitStack() as stack:
        streams = {}
        for path, network in networks.items():
            temporary = stack.enter_context(replacing(path))
            streams[path] = stack.enter_context(temporary.open("w+b"))
            _write_header(streams[path], 0, network.embedding_size)
        count = 0
        while part := list(islice(items, _BATCH)):
            count += len(part)
            for path, network in networks.items():
                streams[path].write(np.ascontiguousarray(network.embed(part), dtype="<f4").tobytes())
        for path, network in networks.items():
            streams[path].seek(0)
            _write_header(streams[path], count, network.embedding_size)
            streams[path].seek(0)
            check = _digest(streams[path], None)
            streams[path].seek(0, 2)
            streams[path].write(check)


def _write_header(stream: BinaryIO, items: int, size: int) -> None:
    """Writes a .npy header. Its length is the same for any number of items: numpy leaves room for the first axis."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (items, size)}
    np.lib.format.write_array_header_1_0(stream, header)


def _complete(path: Path) -> bool:
    """Whether a file is there, and what was written."""
    try:
        size = path.stat().st_size - _CHECK
        with path.open("rb") as stream:
            return size > 0 and _digest(stream, size) == stream.read(_CHECK)
    except OSError:
        return False


def _digest(stream: BinaryIO, size: int | None) -> bytes:
    """Check of the next `size` bytes of a file, or of all that are left."""
    total, left = hashlib.blake2b(digest_size=_CHECK), size
    while data := stream.read(_PIECE if left is None else min(_PIECE, left)):
        total.update(data)
        left = None if left is None else left - len(data)
    return total.digest()
