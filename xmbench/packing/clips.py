"""The distinct clips of a data set, each once: wav files as flac where that restores the same bytes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xmbench.errors import MediaError
from xmbench.media import audio
from xmbench.packing.parts import unpacked
from xmbench.storage.files import replacing

BATCH_BYTES = 8_000_000
_KEPT_BYTES = 256_000_000
_SCHEMA = pa.schema([("sha256", pa.binary(32)), ("form", pa.string()), ("data", pa.binary())])


class PackedClips:
    """Collects distinct clips into files `clips-00000.parquet` ..., in the order in which they come.

    Clips that an earlier try has written are known.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index: dict[bytes, int] = {}
        self._waiting: list[tuple[bytes, str, bytes]] = []
        self._size = self._files = 0
        while (path := self._path(self._files)).is_file():
            for key in pq.read_table(path, columns=["sha256"])["sha256"].to_pylist():
                self._index[key] = len(self._index)
            self._files += 1

    def place(self, data: bytes) -> int:
        """The number of a clip's file, which is kept if it is new."""
        key = hashlib.sha256(data).digest()
        if key not in self._index:
            self._index[key] = len(self._index)
            form, packed = _packed(data)
            self._waiting.append((key, form, packed))
            self._size += len(packed)
            if self._size >= BATCH_BYTES:
                self.flush()
        return self._index[key]

    def flush(self) -> None:
        """Writes what is in memory."""
        if self._waiting:
            columns = zip(*self._waiting, strict=True)
            table = pa.table(dict(zip(_SCHEMA.names, map(list, columns), strict=True)), schema=_SCHEMA)
            with replacing(self._path(self._files)) as temporary:
                pq.write_table(table, temporary, compression="zstd", use_dictionary=False)
            self._files += 1
            self._waiting, self._size = [], 0

    def _path(self, number: int) -> Path:
        return self._folder / f"clips-{number:05d}.parquet"


class UnpackedClips:
    """Clips by number; the files of the last used ones are in memory.

    Raises:
        DatasetError: a file of clips cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._paths = sorted(folder.glob("clips-*.parquet"))
        self._starts: list[int] = [0]
        for path in self._paths:
            with unpacked(path):
                self._starts.append(self._starts[-1] + pq.read_metadata(path).num_rows)
        self._kept: OrderedDict[int, list[bytes]] = OrderedDict()

    def read(self, number: int) -> bytes:
        """The file of a clip, byte for byte as it was packed."""
        where = next((i for i, start in enumerate(self._starts[1:]) if number < start), len(self._paths) - 1)
        if where not in self._kept:
            with unpacked(self._paths[where]):
                rows = pq.read_table(self._paths[where], schema=_SCHEMA).to_pylist()
                self._kept[where] = [_restored(row["form"], row["data"], row["sha256"]) for row in rows]
            while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > _KEPT_BYTES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(where)
        with unpacked(self._paths[where]):
            return self._kept[where][number - self._starts[where]]


def _bytes(clips: list[bytes]) -> int:
    return sum(map(len, clips))


def _packed(data: bytes) -> tuple[str, bytes]:
    """How a clip is stored: a wav file as flac if the same bytes come back, anything else as it is."""
    if data[:4] == b"RIFF":
        try:
            samples, rate = audio.decode_mono_int16(data)
            packed = audio.encode_flac(samples, rate)
            if len(packed) < len(data) and _restored("wav", packed, hashlib.sha256(data).digest()) == data:
                return "wav", packed
        except (MediaError, ValueError):
            pass  # another kind of wav file: kept as it is
    return "raw", data


def _restored(form: str, packed: bytes, key: bytes) -> bytes:
    data = audio.encode_wav(*audio.decode_mono_int16(packed)) if form == "wav" else packed
    if hashlib.sha256(data).digest() != key:
        raise ValueError("a clip is not the one that was packed")
    return data
