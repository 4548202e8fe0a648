"""Rows -> one parquet file with the schema that `datasets` reads, written without decoding anything twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from xmbench.builder.plan import Item, Plan, Reader, Shard
from xmbench.builder.takes import Take
from xmbench.errors import DocumentError
from xmbench.formats.columns import schema
from xmbench.formats.dataset import content_digest, dataset_digest, row_digest, samples_digest
from xmbench.formats.ledger import LedgerRow
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import RawImage, Rejected
from xmbench.media import audio, image
from xmbench.storage.files import read_bytes, replacing, write_text

GROUP_ROWS = 1_000
_UNREPEATED = {"id", "image.bytes", "image.path", "source"}


@dataclass(frozen=True)
class Job:
    """What every shard of a build has in common. Travels to each worker once.

    Attributes:
        recipe: formats, class names, regime.
        images: where pixels come from.
        schema: of the files, with the metadata of `datasets`.
        attributes: names of the columns that takes bring along.
        data, reports: folders to write to.
    """

    recipe: Recipe
    images: Reader
    schema: pa.Schema
    attributes: tuple[str, ...]
    data: Path
    reports: Path


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One file to write, with the takes that its items need; `digest` says what it depends on."""

    shard: Shard
    takes: Mapping[str, Take]
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What a finished shard holds; stands as JSON beside the data until the build is done.

    Attributes:
        plan: digest of the shard's plan.
        name, split, bytes: of the file.
        rows: (id, row digest) in the order of the file.
        classes: rows of each class name.
        takes: keys of the takes of each class name, sorted.
        ledger: items that did not become rows.
    """

    plan: str
    name: str
    split: str
    bytes: int
    rows: tuple[tuple[str, str], ...]
    classes: dict[str, int]
    takes: dict[str, tuple[str, ...]]
    ledger: tuple[LedgerRow, ...]


@dataclass(frozen=True, slots=True)
class _Clip:
    """A take as it is stored: padded and encoded once."""

    data: bytes
    digest: bytes
    duration_s: float


def job(plan: Plan, data: Path, reports: Path) -> Job:
    """What the workers of a plan need to know."""
    recipe = plan.request.recipe
    columns = schema(recipe, plan.attributes)
    return Job(recipe, plan.images, columns, plan.attributes, data, reports)


def write_shard(work: Job, task: ShardTask) -> ShardReport:
    """Writes one shard and its report; both appear under their names only when they are whole.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    clips = {key: _encoded(take, work.recipe) for key, take in task.takes.items()}
    rows: list[tuple[str, str]] = []
    ledger: list[LedgerRow] = []
    written: list[Item] = []
    path = work.data / task.shard.name
    with replacing(path) as temporary, _writer(temporary, work, clips) as writer:
        for items, pixels in _batches(work, task.shard.items, ledger):
            pictures = [image.encode_png(picture) for picture in pixels]
            writer.write_table(_table(work, task.takes, clips, items, pictures), row_group_size=GROUP_ROWS)
            for item, picture in zip(items, pixels, strict=True):
                shown = content_digest(picture)
                clip = clips[item.take]
                rows.append((item.id, row_digest(item.split, item.id, item.label, shown, clip.digest)))
            written += items
    report = ShardReport(
        task.digest,
        task.shard.name,
        task.shard.split,
        path.stat().st_size,
        tuple(rows),
        *_tally(written, work.recipe),
        tuple(ledger),
    )
    write_text(report_path(work.reports, task.shard.name), REPORT.dump_json(report).decode())
    return report


def report_path(folder: Path, shard: str) -> Path:
    """Where the report of a shard stands."""
    return folder / f"{shard}.json"


def read_report(folder: Path, shard: str) -> ShardReport | None:
    """The report of a shard; None where it is missing or damaged."""
    try:
        return REPORT.validate_json(read_bytes(report_path(folder, shard)))
    except (DocumentError, ValidationError):
        return None


def shard_digest(report: ShardReport) -> str:
    """Digest of the decoded content of a shard's rows."""
    return dataset_digest((report.split, item, digest) for item, digest in report.rows)


def _encoded(take: Take, recipe: Recipe) -> _Clip:
    rate = recipe.audio.sample_rate_hz
    padded: NDArray[np.int16] = np.asarray(audio.fit_length(take.samples, recipe.audio.samples), dtype=np.int16)
    encode = audio.encode_wav if recipe.audio.encoding == "wav" else audio.encode_flac
    data = encode(padded, rate)
    return _Clip(data, samples_digest(padded, rate), round(len(take.samples) / rate, 6))


def _batches(
    work: Job, items: Sequence[Item], ledger: list[LedgerRow]
) -> Iterator[tuple[list[Item], list[NDArray[np.uint8]]]]:
    """Items with their pixels, a row group at a time; what cannot be used goes to the ledger."""
    reader, names = work.images, work.recipe.classes.names
    raw = reader.source.read(reader.files, reader.options, work.recipe.task, [item.entry for item in items])
    kept: list[Item] = []
    pixels: list[NDArray[np.uint8]] = []
    for item, value in zip(items, raw, strict=True):
        if isinstance(value, RawImage):
            kept.append(item)
            pixels.append(_fitted(value.pixels, work.recipe))
        elif isinstance(value, Rejected):
            ledger.append(LedgerRow.of("item", item.id, item.split, names[item.label], value))
        else:
            raise TypeError(f"the source '{reader.source.name}' gave no image for '{item.id}'")
        if len(kept) == GROUP_ROWS:
            yield kept, pixels
            kept, pixels = [], []
    if kept:
        yield kept, pixels


def _fitted(pixels: NDArray[np.uint8], recipe: Recipe) -> NDArray[np.uint8]:
    """Pixels (H, W, C) in the recipe's format: grey becomes three equal channels, colour its luminance."""
    wanted = recipe.task.image
    if pixels.shape[2] != wanted.channels:
        if wanted.channels == 3:
            pixels = np.repeat(pixels, 3, axis=2)
        else:
            luminance = pixels @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
            pixels = np.rint(luminance).astype(np.uint8)[:, :, None]
    if pixels.shape[:2] != (wanted.height_px, wanted.width_px):
        pixels = image.resize(pixels, wanted.height_px, wanted.width_px)
    return pixels


def _table(
    work: Job, takes: Mapping[str, Take], clips: Mapping[str, _Clip], items: Sequence[Item], pictures: Sequence[bytes]
) -> pa.Table:
    """One row group. The order of the columns is the schema's."""
    used = [takes[item.take] for item in items]
    sounds = [clips[item.take] for item in items]
    single, ending = work.recipe.regime == "single-take", work.recipe.audio.encoding
    columns: list[Any] = [
        [item.id for item in items],
        _media(pictures, [f"{item.id}.png" for item in items]),
        _media([sound.data for sound in sounds], [f"{take.key}.{ending}" for take in used]),
        [item.label for item in items],
        [take.key for take in used],
        [item.id if single else take.group for item, take in zip(items, used, strict=True)],
        [sound.duration_s for sound in sounds],
        [f"{work.images.source.name}/{item.id}" for item in items],
        *([take.attributes.get(name, "") for take in used] for name in work.attributes),
    ]
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, work.schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=work.schema)


def _media(data: Sequence[bytes], paths: Sequence[str]) -> pa.Array:
    parts = [pa.array(data, pa.binary()), pa.array(paths, pa.string())]
    return pa.StructArray.from_arrays(parts, names=["bytes", "path"])


def _writer(path: Path, work: Job, clips: Mapping[str, _Clip]) -> pq.ParquetWriter:
    """A writer that keeps each distinct clip once per row group, and no media bytes in the statistics."""
    plain = [field.name for field in work.schema if not pa.types.is_struct(field.type)]
    leaves = [*plain, "image.bytes", "image.path", "audio.bytes", "audio.path"]
    longest = max((len(clip.data) for clip in clips.values()), default=0)
    return pq.ParquetWriter(
        path,
        work.schema,
        compression="zstd",
        use_dictionary=[leaf for leaf in leaves if leaf not in _UNREPEATED],
        write_statistics=plain,
        # A dictionary that outgrows its page is given up, and every clip written out again.
        dictionary_pagesize_limit=(1 << 20) + (longest + 64) * min(GROUP_ROWS, len(clips)),
    )


def _tally(items: Sequence[Item], recipe: Recipe) -> tuple[dict[str, int], dict[str, tuple[str, ...]]]:
    """Rows and takes of each class name."""
    names = recipe.classes.names
    counted = Counter(names[item.label] for item in items)
    takes: dict[str, set[str]] = {name: set() for name in names}
    for item in items:
        takes[names[item.label]].add(item.take)
    return {name: counted[name] for name in names}, {name: tuple(sorted(takes[name])) for name in names}


REPORT = TypeAdapter(ShardReport)
