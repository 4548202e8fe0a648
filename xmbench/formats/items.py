"""A data set's rows as arrays: training examples and generation conditions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xmbench.errors import DatasetError, MediaError
from xmbench.formats.dataset import Dataset
from xmbench.interfaces import SIDES, Conditions, Direction, Examples, Modality
from xmbench.media import audio, image


def pick_rows(dataset: Dataset, split: str, ids: Collection[str], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Some rows of a split by id; only the row groups that hold them are read.

    Raises:
        DatasetError: a shard cannot be read.
    """
    wanted, found = set(ids), {}
    for path in dataset.shards(split):
        try:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    named = file.read_row_group(group, columns=["id"]).column("id").to_pylist()
                    places = [i for i, item in enumerate(named) if item in wanted]
                    if places:
                        rows = file.read_row_group(group, columns=["id", *columns]).take(places).to_pylist()
                        found.update({str(row["id"]): row for row in rows})
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(
                f"the shard cannot be read ({str(error)[:200]})", where=path, todo="run `xmbench validate`"
            ) from error
    return found


def read_clip(row: dict[str, Any], dataset: Dataset) -> NDArray[np.int16]:
    """The clip of a row, int16 (T,), at the recipe's fixed length.

    Raises:
        DatasetError: it cannot be decoded or has another rate.
    """
    wanted = dataset.recipe.audio
    try:
        samples, rate = audio.decode_mono_int16(row["audio"]["bytes"])
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
    try:
        pixels = image.decode(row["image"]["bytes"])
    except MediaError as error:
        raise DatasetError(f"item '{row['id']}': {error.what}", where=dataset.folder) from error
    wanted = dataset.recipe.task.image
    if pixels.shape != (wanted.height_px, wanted.width_px, wanted.channels):
        raise DatasetError(f"item '{row['id']}': image of shape {pixels.shape}", where=dataset.folder)
    return pixels


def read_examples(dataset: Dataset, split: str = "train") -> Examples:
    """A whole split in memory; each distinct take is decoded and kept once.

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
        with_references: only for the ceiling that declares `sees_references`.
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
