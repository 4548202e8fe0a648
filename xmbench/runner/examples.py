"""Training examples of a data set: in memory where it is small, else decoded once to disk and mapped.

::

    DATA/.decoded/<data set digest>-train-1/   images.npy  clips.npy  rows.parquet  done.json (written last)

A directory is written under another name and renamed when it is complete. Those of another digest, which a rebuild
leaves behind, are removed. If the data set's directory cannot be written, the cache directory is used.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xmbench.errors import DatasetError, OutputError
from xmbench.execution.progress import Progress
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_examples
from xmbench.formats.layout import DECODED_FOLDER
from xmbench.interfaces import Examples
from xmbench.runner.decoding import CLIPS_FILE, IMAGES_FILE, decode, rows_of
from xmbench.storage.arrays import create_array, open_array
from xmbench.storage.cache import cache_folder
from xmbench.storage.files import make_folder, write_text, writing
from xmbench.storage.locks import locked

FORMAT = "1"  # of the directory; one of another format is not read
IN_MEMORY_BYTES = 256 * 2**20  # below this a set is decoded in seconds, and every run does so
SPLIT = "train"
_DONE_FILE, _ROWS_FILE = "done.json", "rows.parquet"


def open_examples(dataset: Dataset, progress: Progress) -> Examples:
    """The training split of a data set.

    Raises:
        DatasetError: a shard or an item cannot be read.
    """
    return replace(_media_and_labels(dataset, progress), starts_s=_starts(dataset))


def _starts(dataset: Dataset) -> NDArray[np.float64] | None:
    """The column `start_s` in the order of the ids, float64 (N,), where the data set has it."""
    shards = dataset.shards(SPLIT)
    try:
        known = bool(shards) and "start_s" in pq.read_schema(shards[0]).names
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"the shard cannot be read ({str(error)[:200]})", where=shards[0]) from error
    if not known:
        return None
    return np.array(dataset.table(SPLIT, ["start_s"]).column("start_s"), dtype=np.float64)


def _media_and_labels(dataset: Dataset, progress: Progress) -> Examples:
    if _decoded_bytes(dataset) <= IN_MEMORY_BYTES:
        return read_examples(dataset, SPLIT)
    name = f"{dataset.digest}-{SPLIT}-{FORMAT}"
    places = [dataset.folder / DECODED_FOLDER, _cache()]
    for place in places:
        found = _opened(place / name) if place else None
        if found is not None:
            return found
    for place in places:
        try:
            if place is not None:
                return _decode(dataset, place, name, progress)
        except OutputError as error:
            progress(f"decoded data cannot be kept in {place} ({error.what})")
    progress("decoding all training data into memory")
    return read_examples(dataset, SPLIT)


def _cache() -> Path | None:
    try:
        return cache_folder() / "decoded"
    except OutputError:
        return None


def _decoded_bytes(dataset: Dataset) -> int:
    """Size of the images and of the distinct clips."""
    task, record = dataset.recipe.task, dataset.manifest.splits.get(SPLIT)
    clips = sum(record.takes.values()) if record else 0
    image = task.image.height_px * task.image.width_px * task.image.channels
    return dataset.count(SPLIT) * image + clips * task.audio.samples * 2


def _opened(folder: Path) -> Examples | None:
    """What was decoded before; None where there is nothing, or it is incomplete."""
    try:
        sizes = json.loads((folder / _DONE_FILE).read_bytes())
        if any((folder / name).stat().st_size != size for name, size in sizes.items()):
            return None
        rows = pq.ParquetFile(folder / _ROWS_FILE).read()
        columns = {name: rows.column(name) for name in ("id", "label", "group", "clip")}
        return Examples(
            ids=tuple(columns["id"].to_pylist()),
            labels=columns["label"].to_numpy().astype(np.int64),
            images=open_array(folder / IMAGES_FILE),
            clips=open_array(folder / CLIPS_FILE),
            clip_index=columns["clip"].to_numpy().astype(np.int64),
            groups=tuple(columns["group"].to_pylist()),
            store=folder,
        )
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def _decode(dataset: Dataset, place: Path, name: str, progress: Progress) -> Examples:
    """Decodes the split into `place/name`, with every core.

    Raises:
        OutputError: the directory cannot be written, or the disk is too full.
        DatasetError: a shard or an item cannot be read.
    """
    make_folder(place)
    with locked(place / ".lock", wait=True):
        found = _opened(place / name)  # by another run, while this one waited
        if found is not None:
            return found
        _remove_stale(place, dataset)
        work = place / f".{name}.tmp"
        try:
            with writing(place):
                work.mkdir()
                _fill(dataset, work, progress)
                shutil.rmtree(place / name, ignore_errors=True)
                work.replace(place / name)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    found = _opened(place / name)
    if found is None:
        raise OutputError("the decoded data cannot be read", where=place / name)
    return found


def _remove_stale(place: Path, dataset: Dataset) -> None:
    """Removes what interrupted runs left and, in the data set's own directory, what was decoded from earlier builds."""
    own = place.parent == dataset.folder
    for path in place.iterdir():
        if path.suffix == ".tmp" or (own and path.is_dir() and not path.name.startswith(dataset.digest)):
            shutil.rmtree(path, ignore_errors=True)


def _fill(dataset: Dataset, work: Path, progress: Progress) -> None:
    """Writes the arrays, the rows, and last the sizes of all files."""
    task = dataset.recipe.task
    rows = rows_of(dataset, SPLIT)
    items = len(rows.ids)
    # The files get their full size here; the workers open them by path.
    create_array(work / IMAGES_FILE, (items, task.image.height_px, task.image.width_px, task.image.channels), np.uint8)
    create_array(work / CLIPS_FILE, (rows.clips, task.audio.samples), np.int16)
    progress(f"decoding {items:,} training items once, into {work.parent}")
    done = shown = 0
    for count in decode(dataset, work, rows.groups):
        done += count
        if done - shown >= items / 10:
            progress(f"decoding: {done:,} of {items:,} training items")
            shown = done
    pq.write_table(rows.table(), work / _ROWS_FILE)
    names = (IMAGES_FILE, CLIPS_FILE, _ROWS_FILE)
    for name in names:
        with (work / name).open("rb+") as handle:
            os.fsync(handle.fileno())
    write_text(work / _DONE_FILE, json.dumps({name: (work / name).stat().st_size for name in names}))
