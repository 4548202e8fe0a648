"""A data set's rows as arrays: training examples and generation conditions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xmbench.errors import DatasetError, DocumentError, MediaError
from xmbench.formats.dataset import Dataset, batch_rows
from xmbench.interfaces import SIDES, Conditions, Direction, Examples, Modality
from xmbench.media import audio, image
from xmbench.printable import shown

_BATCH_IDS = 4096
_TIMES_LENGTH = 32  # a stored clip has the fixed length; one up to so many times longer is cut, not refused


def pick_rows(dataset: Dataset, split: str, ids: Collection[str], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Some rows of a split by id; only the row groups that hold them are read.

    Raises:
        DatasetError: a shard cannot be read.
    """
    wanted, found = set(ids), {}
    for shard in dataset.manifest.shards:
        if shard.split != split:
            continue
        try:
            table = dataset.open_shard(shard, ["id", *columns])
            for group in range(table.file.num_row_groups):
                if any(name in wanted for name in _ids(table.batches(_BATCH_IDS, ["id"], [group]))):
                    for batch in table.batches(batch_rows(dataset.recipe), groups=[group]):
                        places = [i for i, name in enumerate(_ids([batch])) if name in wanted]
                        if places:  # pyarrow refuses an empty list
                            found.update({str(row["id"]): row for row in batch.take(places).to_pylist()})
        except (DocumentError, ValueError) as error:  # ValueError: texts that are not UTF-8
            raise DatasetError(
                f"the shard cannot be read: {shown(getattr(error, 'what', str(error)), 200)}",
                where=dataset.folder / shard.path,
                todo="run `xmbench validate`",
            ) from error
    return found


def _ids(batches: Iterable[pa.RecordBatch]) -> Iterator[str]:
    for batch in batches:
        yield from batch.column("id").to_pylist()


def read_clip(row: dict[str, Any], dataset: Dataset) -> NDArray[np.int16]:
    """The clip of a row, int16 (T,), at the recipe's fixed length.

    Raises:
        DatasetError: it cannot be decoded or has another rate.
    """
    wanted = dataset.recipe.audio
    try:
        samples, rate = audio.decode_mono_int16(_stored(row, "audio"), _TIMES_LENGTH * 4 * wanted.samples)
    except MediaError as error:
        raise DatasetError(f"item '{row['id']}': {error.what}", where=dataset.folder) from error
    if rate != wanted.sample_rate_hz:
        raise DatasetError(
            f"item '{row['id']}': {rate} Hz", where=dataset.folder, expected=f"{wanted.sample_rate_hz} Hz"
        )
    return np.asarray(audio.fit_length(samples, wanted.samples), dtype=np.int16)


def read_image(row: dict[str, Any], dataset: Dataset) -> NDArray[np.uint8]:
    """The image of a row, uint8 (H, W, C).

    Raises:
        DatasetError: it cannot be decoded or has another shape.
    """
    wanted = dataset.recipe.task.image
    try:
        pixels = image.decode(_stored(row, "image"), size_px=(wanted.height_px, wanted.width_px))
    except MediaError as error:
        raise DatasetError(f"item '{row['id']}': {error.what}", where=dataset.folder) from error
    if pixels.shape != (wanted.height_px, wanted.width_px, wanted.channels):
        raise DatasetError(f"item '{row['id']}': image of shape {pixels.shape}", where=dataset.folder)
    return pixels


def _stored(row: dict[str, Any], column: str) -> bytes:
    """The file in a media column; raises MediaError where there is none."""
    data = (row[column] or {}).get("bytes")
    if not isinstance(data, bytes):
        raise MediaError(f"no {column}")
    return data


def read_examples(dataset: Dataset, split: str = "train") -> Examples:
    """A split in memory; each distinct take is decoded and kept once.

    Raises:
        DatasetError: a shard or an item cannot be read.
    """
    task = dataset.recipe.task
    count = dataset.count(split)
    images = np.empty((count, task.image.height_px, task.image.width_px, task.image.channels), dtype=np.uint8)
    labels, clip_index = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    ids: list[str] = []
    groups: list[str] = []
    clips: list[NDArray[np.int16]] = []
    known: dict[str, int] = {}
    for i, row in enumerate(dataset.rows(split, ["image", "audio", "label", "take", "group"])):
        take = str(row["take"])
        if take not in known:
            known[take] = len(clips)
            clips.append(read_clip(row, dataset))
        images[i], labels[i], clip_index[i] = read_image(row, dataset), row["label"], known[take]
        ids.append(str(row["id"]))
        groups.append(str(row["group"]))
    stacked = np.stack(clips) if clips else np.empty((0, task.audio.samples), dtype=np.int16)
    return Examples(tuple(ids), labels, images, stacked, clip_index, tuple(groups))


def read_conditions(
    dataset: Dataset,
    split: str,
    direction: Direction,
    batch_size: int,
    with_labels: bool,
    with_references: bool = False,
) -> Iterator[Conditions]:
    """The inputs of a split in batches, in the order of their ids, without any reference.

    Args:
        dataset: where to read.
        split: "train" or "test".
        direction: "i2a" yields images, "a2i" clips.
        batch_size: items per batch; the last one may be smaller.
        with_labels: only for models that declare `oracle`.
        with_references: only for the upper bound that declares `sees_references`.
    """
    sides = SIDES[direction]
    columns = ["label", sides.condition, *([sides.output] if with_references else [])]
    waiting: list[dict[str, Any]] = []
    for row in dataset.rows(split, columns):
        waiting.append(row)
        if len(waiting) == batch_size:
            yield _batch(waiting, dataset, direction, with_labels, with_references)
            waiting = []
    if waiting:
        yield _batch(waiting, dataset, direction, with_labels, with_references)


def _batch(
    rows: list[dict[str, Any]], dataset: Dataset, direction: Direction, with_labels: bool, with_references: bool
) -> Conditions:
    sides = SIDES[direction]
    inputs = np.stack([_READERS[sides.condition](row, dataset) for row in rows])
    labels = np.asarray([row["label"] for row in rows], dtype=np.int64) if with_labels else None
    references = np.stack([_READERS[sides.output](row, dataset) for row in rows]) if with_references else None
    return Conditions(tuple(str(row["id"]) for row in rows), inputs, labels, references)


_READERS: dict[Modality, Callable[[dict[str, Any], Dataset], NDArray[Any]]] = {"image": read_image, "audio": read_clip}
