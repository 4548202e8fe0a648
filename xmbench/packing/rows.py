"""One shard of a data set, packed: its scalar columns with the numbers of its clips, and its images as strips.

Whatever could not be restored byte for byte from a strip is kept as it is.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xmbench.errors import DatasetError, MediaError
from xmbench.formats.dataset import Dataset, ShardRecord, batch_rows
from xmbench.formats.intact import ContentDigests
from xmbench.formats.recipe import Recipe
from xmbench.formats.tables import read_schema
from xmbench.interfaces import ImageFormat
from xmbench.media import image
from xmbench.packing.clips import PackedClips, UnpackedClips
from xmbench.packing.parts import unpacked
from xmbench.packing.strips import decode_strip, encode_strip, strip_images
from xmbench.storage.files import replacing, write_bytes

MEDIA = ("image", "audio")
SCHEMA_KEY = b"xmbench:schema"
# No source's column has a name with a colon. A row without `:raw` has its image in a strip.
_OWN = pa.schema(
    [
        (":image_path", pa.string()),
        (":audio_path", pa.string()),
        (":clip", pa.int64()),
        (":crc", pa.int64()),
        (":raw", pa.binary()),
    ]
)


def rows_file(shard: int) -> str:
    """Name of the file with a shard's scalar columns."""
    return f"rows-{shard:05d}.parquet"


def strip_file(shard: int, number: int) -> str:
    """Name of one of a shard's strips."""
    return f"strip-{shard:05d}-{number:05d}.webp"


def require_content(digests: ContentDigests, shard: ShardRecord, where: Path, todo: str) -> None:
    """Raises DatasetError where the content of a shard's rows is not what the manifest says."""
    if problem := digests.problem(shard):
        raise DatasetError(
            f"{shard.path} does not hold what the manifest says", where=where, problems=[problem], todo=todo
        )


class _Strips:
    """Collects images; writes a strip when it is full."""

    def __init__(self, folder: Path, shard: int, form: ImageFormat) -> None:
        self._folder, self._shard = folder, shard
        self._most = strip_images(form.height_px, form.width_px)
        self._shape = (form.height_px, form.width_px, form.channels)
        self._waiting: list[NDArray[np.uint8]] = []
        self._written = 0

    def takes(self, pixels: NDArray[np.uint8], data: bytes) -> bool:
        """Takes an image if its file can be restored from its pixels."""
        if not self._most or pixels.shape != self._shape or image.encode_png(pixels) != data:
            return False
        self._waiting.append(pixels)
        if len(self._waiting) == self._most:
            self.flush()
        return True

    def flush(self) -> None:
        if self._waiting:
            pixels = np.stack(self._waiting)
            data = encode_strip(pixels)
            if not np.array_equal(decode_strip(data, *self._shape), pixels):
                raise DatasetError("WebP did not keep the pixels of a strip", todo="install another release of Pillow")
            write_bytes(self._folder / strip_file(self._shard, self._written), data)
            self._written += 1
            self._waiting = []


def pack_shard(dataset: Dataset, number: int, folder: Path, clips: PackedClips) -> None:
    """Writes the files of one shard; `rows-<number>.parquet` comes last and says that they are complete.

    Raises:
        DatasetError: the shard cannot be read, or does not hold what the manifest says.
    """
    shard = dataset.manifest.shards[number]
    path = dataset.folder / shard.path
    columns = read_schema(path)
    scalars = [name for name in columns.names if name not in MEDIA]
    kept = pa.schema([*(columns.field(name) for name in scalars), *_OWN])
    kept = kept.with_metadata({SCHEMA_KEY: base64.b64encode(columns.serialize().to_pybytes())})
    table = dataset.open_shard(shard, columns.names)
    strips = _Strips(folder, number, dataset.recipe.task.image)
    digests = ContentDigests(shard.split)
    with (
        replacing(folder / rows_file(number)) as temporary,
        pq.ParquetWriter(temporary, kept, compression="zstd") as writer,
    ):
        for group in range(table.file.num_row_groups):
            made: list[dict[str, Any]] = []
            for batch in table.batches(batch_rows(dataset.recipe), groups=[group]):
                made += [_packed(row, scalars, strips, clips, digests) for row in batch.to_pylist()]
            if made:
                writer.write_table(pa.Table.from_pylist(made, schema=kept), row_group_size=len(made))
        strips.flush()
        clips.flush()
        require_content(digests, shard, path, "run `xmbench validate`, and build the data set again")


def _packed(
    row: dict[str, Any], scalars: list[str], strips: _Strips, clips: PackedClips, digests: ContentDigests
) -> dict[str, Any]:
    data, sound = row["image"]["bytes"], row["audio"]["bytes"]
    pixels = image.decode(data)
    clip = clips.place(sound)
    digests.add(row, pixels, sound, clip)
    return {
        **{name: row[name] for name in scalars},
        ":image_path": row["image"]["path"],
        ":audio_path": row["audio"]["path"],
        ":clip": clip,
        ":crc": zlib.crc32(data),
        ":raw": None if strips.takes(pixels, data) else data,
    }


@dataclass(slots=True)
class UnpackedShard:
    """The rows of a packed shard, as the builder wrote them.

    Attributes:
        columns: of the shard's file, with the metadata of `datasets`.
        groups: rows of each row group.
        takes: distinct clips among the rows.
        changed: images whose PNG file has other bytes here than where they were packed, with the same pixels.
        digests: of the content of the rows that were read.
    """

    columns: pa.Schema
    groups: list[int]
    takes: int
    digests: ContentDigests
    changed: int = 0


def open_packed(folder: Path, number: int, split: str) -> UnpackedShard:
    """Opens a packed shard.

    Raises:
        DatasetError: its file is damaged.
    """
    path = folder / rows_file(number)
    with unpacked(path):
        file = pq.ParquetFile(path)
        columns = pa.ipc.read_schema(pa.py_buffer(base64.b64decode((file.schema_arrow.metadata or {})[SCHEMA_KEY])))
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        takes = len(set(pq.read_table(path, columns=["take"])["take"].to_pylist()))
    return UnpackedShard(columns, groups, takes, ContentDigests(split))


def unpack_groups(
    shard: UnpackedShard, folder: Path, number: int, recipe: Recipe, clips: UnpackedClips
) -> Iterator[pa.Table]:
    """The row groups of a shard, with its images and clips.

    Raises:
        DatasetError: a file of the pack is damaged.
    """
    path = folder / rows_file(number)
    pixels = _pixels(folder, number, recipe.task.image)
    with unpacked(path):
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            rows = [_unpacked(row, shard, pixels, clips) for row in file.read_row_group(group).to_pylist()]
            yield pa.Table.from_pylist(rows, schema=shard.columns)


def _pixels(folder: Path, number: int, form: ImageFormat) -> Iterator[NDArray[np.uint8]]:
    strip = 0
    while (path := folder / strip_file(number, strip)).is_file():
        with unpacked(path):
            yield from decode_strip(path.read_bytes(), form.height_px, form.width_px, form.channels)
        strip += 1
    raise MediaError(f"the strip {strip_file(number, strip)} is missing")


def _unpacked(
    row: dict[str, Any], shard: UnpackedShard, strips: Iterator[NDArray[np.uint8]], clips: UnpackedClips
) -> dict[str, Any]:
    data, sound = row[":raw"], clips.read(row[":clip"])
    if data is None:
        pixels = next(strips)
        data = image.encode_png(pixels)
        shard.changed += zlib.crc32(data) != row[":crc"]
    else:
        pixels = image.decode(data)
    shard.digests.add(row, pixels, sound, row[":clip"])
    media = {
        "image": {"bytes": data, "path": row[":image_path"]},
        "audio": {"bytes": sound, "path": row[":audio_path"]},
    }
    return {name: media[name] if name in MEDIA else row[name] for name in shard.columns.names}
