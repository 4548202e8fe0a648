"""CIFAR-10 and CIFAR-100: 50,000 training and 10,000 test images of 32x32 pixels, in the forms in which they exist.

- the Python pickles (`cifar-10-batches-py/`, `cifar-100-python/`), read without running them (`_pickles`);
- the binary files (`cifar-10-batches-bin/`, `cifar-100-binary/`);
- directories of images (`train/<class>/<name>.png`), unpublished but common.

Pickles and binary files hold the same images in the same order, so both give the same items.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, chapter 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from xmbench.errors import MediaError, UpstreamError
from xmbench.interfaces import Entry, Modality, Raw, RawImage, Rejected, Task, Upstream
from xmbench.media import image
from xmbench.sources._pickles import read_pickle

SIDE_PX = 32
_PIXELS = 3 * SIDE_PX * SIDE_PX
# (split, files in their published order), one line per published form.
FILES: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "train": tuple(f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)),
        "test": ("cifar-10-batches-py/test_batch",),
    },
    {"train": ("cifar-100-python/train",), "test": ("cifar-100-python/test",)},
    {
        "train": tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)),
        "test": ("cifar-10-batches-bin/test_batch.bin",),
    },
    {"train": ("cifar-100-binary/train.bin",), "test": ("cifar-100-binary/test.bin",)},
)
# Where each form names its classes, and under which key.
NAMES = {"cifar-10-batches-py/batches.meta": "label_names", "cifar-100-python/meta": "{labels}_label_names"}
_FOLDERS = ("train", "test")


class CifarOptions(BaseModel):
    """Which labels, and how many images there should be.

    Attributes:
        labels: "fine" (100 classes) or "coarse" (20) of CIFAR-100; CIFAR-10 has only one kind.
        train_images, test_images: how many images the splits must have; None for any number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: Literal["fine", "coarse"] = "fine"
    train_images: int | None = Field(default=None, ge=1)
    test_images: int | None = Field(default=None, ge=1)


@dataclass(frozen=True, slots=True)
class Batch:
    """One file: labels int64 (N,), planes uint8 (N, 3072): red, then green, then blue, each row by row."""

    labels: NDArray[np.int64]
    planes: NDArray[np.uint8]


class Cifar:
    """Small colour photos from pickles, binary files or directories; keys like `train-00017`, splits as published."""

    name = "cifar"
    yields: frozenset[Modality] = frozenset({"image"})
    Options = CifarOptions

    def versions(self, options: CifarOptions) -> dict[str, str]:
        """Only the files shape the content."""
        return {}

    def counts(self, sizes: Mapping[str, int], options: CifarOptions) -> dict[str, int]:
        """Items of each split, as the options state them; none where they do not."""
        promised = {"train": options.train_images, "test": options.test_images}
        return {split: number for split, number in promised.items() if number is not None}

    def entries(self, upstream: Upstream, options: CifarOptions, task: Task) -> list[Entry]:
        """One entry per image, training items first, in published order (directories: by class, then by name).

        Raises:
            UpstreamError: damaged files, pickles with more than data, counts or classes that do not fit.
        """
        there = upstream.names()
        files = next((form for form in FILES if any(name in there for names in form.values() for name in names)), None)
        if files is None:
            found = _folder_entries(there, task)
        else:
            _check_names(upstream, options, task)
            found = [
                entry
                for split, names in files.items()
                for entry in _split_entries(upstream, split, [name for name in names if name in there], options, task)
            ]
        _check_counts(found, options)
        return found

    def read(
        self, upstream: Upstream, options: CifarOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """Pixels uint8 (32, 32, 3) per entry; from a directory, of the file's own shape."""
        last, batch = "", Batch(np.zeros(0, np.int64), np.zeros((0, _PIXELS), np.uint8))
        for entry in entries:
            name, index = entry.locator
            if index is None:
                yield _read_image(upstream, name)
                continue
            if name != last:  # entries come in the order of the files, so one file at a time is in memory
                batch, last = read_batch(upstream.read(name), name, options), name
            planes = batch.planes[index].reshape(3, SIDE_PX, SIDE_PX)
            yield RawImage(np.ascontiguousarray(planes.transpose(1, 2, 0)))


def read_batch(data: bytes, name: str, options: CifarOptions) -> Batch:
    """Reads one file of images, in the form of its name.

    Args:
        data: the uncompressed file.
        name: as published.
        options: which labels to use.

    Raises:
        UpstreamError: it is damaged, or holds more than data.
    """
    if name.endswith(".bin"):
        return _read_binary(data, name, options)
    found = read_pickle(data, name)
    key = f"{options.labels}_labels" if name.startswith("cifar-100") else "labels"
    planes, labels = found.get("data"), found.get(key)
    if not isinstance(planes, np.ndarray) or planes.dtype != np.uint8 or planes.shape[1:] != (_PIXELS,):
        what = f"{planes.dtype} of shape {planes.shape}" if isinstance(planes, np.ndarray) else type(planes).__name__
        raise _wrong(f"the images ('data') are {what}", name, f"uint8 of shape (N, {_PIXELS})")
    if isinstance(labels, np.ndarray) and labels.ndim == 1:
        labels = labels.tolist()
    if not isinstance(labels, list) or not all(isinstance(label, int) and abs(label) < 1 << 31 for label in labels):
        raise _wrong(f"there is no list of labels ('{key}')", name, "one number per image")
    if len(labels) != len(planes):
        raise _wrong(f"{len(planes):,} images and {len(labels):,} labels", name, "one label per image")
    return Batch(np.array(labels, dtype=np.int64), planes)


def _read_binary(data: bytes, name: str, options: CifarOptions) -> Batch:
    """Records of one label (CIFAR-100: coarse, then fine) and 3,072 pixels."""
    before = 2 if name.startswith("cifar-100") else 1
    size = before + _PIXELS
    if not data or len(data) % size:
        raise _wrong(f"the file is cut off: {len(data):,} bytes", name, f"a multiple of {size:,}")
    records = np.frombuffer(data, np.uint8).reshape(-1, size)
    column = 0 if before == 1 or options.labels == "coarse" else 1
    return Batch(records[:, column].astype(np.int64), records[:, before:])


def _split_entries(
    upstream: Upstream, split: str, names: Sequence[str], options: CifarOptions, task: Task
) -> list[Entry]:
    batches = [(name, read_batch(upstream.read(name), name, options).labels) for name in names]
    width = max(5, len(str(sum(len(labels) for _, labels in batches))))
    found: list[Entry] = []
    for name, labels in batches:
        _check_labels(labels, name, len(task.class_names))
        for i, label in enumerate(labels.tolist()):
            key = f"{split}-{len(found):0{width}d}"
            found.append(Entry(key=key, split=split, label=label, group=key, locator=(name, i)))
    return found


def _folder_entries(names: Sequence[str], task: Task) -> list[Entry]:
    """Entries of `train/<class>/<name>`; a class's directory has its name, or its name with other separators."""
    classes = {_plain(name): k for k, name in enumerate(task.class_names)}
    counted: Counter[str] = Counter()
    found, problems = [], set()
    for name in sorted(
        names, key=lambda name: (_FOLDERS.index(name.split("/")[0]), name) if "/" in name else (9, name)
    ):
        parts = name.split("/")
        if len(parts) != 3 or parts[0] not in _FOLDERS:
            continue
        if _plain(parts[1]) not in classes:
            problems.add(f"{parts[0]}/{parts[1]}: not a class of the recipe")
            continue
        key = f"{parts[0]}-{counted[parts[0]]:05d}"
        counted[parts[0]] += 1
        label = classes[_plain(parts[1])]
        found.append(Entry(key=key, split=parts[0], label=label, group=key, locator=(name, None)))
    if problems:
        raise UpstreamError(
            f"{len(problems)} directories that are not classes",
            expected=", ".join(task.class_names[:20]),
            problems=sorted(problems),
            todo="name the directories as the recipe's classes, or remove them",
        )
    if not found:
        raise UpstreamError(
            "no files of a known form",
            expected="cifar-10-batches-py, cifar-100-python, their binary forms, or train/<class>/<name>.png",
        )
    return found


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ")


def _read_image(upstream: Upstream, name: str) -> RawImage | Rejected:
    try:
        return RawImage(image.decode(upstream.read(name)))
    except MediaError as error:
        return Rejected("read", "corrupt-image", f"{name}: {error.what}")


# ------------------------------------------------------------------------------------------------ checks
def _check_names(upstream: Upstream, options: CifarOptions, task: Task) -> None:
    """The file that names the classes must name those of the recipe, in their order."""
    for name, key in NAMES.items():
        if name not in upstream.names():
            continue
        key = key.format(labels=options.labels)
        found: Any = read_pickle(upstream.read(name), name).get(key)
        names = [label.decode("utf-8", "replace") if isinstance(label, bytes) else label for label in found or ()]
        if [_plain(str(label)) for label in names] != [_plain(label) for label in task.class_names]:
            raise _wrong(
                f"its classes ('{key}') are {', '.join(map(str, names[:10])) or 'not there'} ({len(names)})",
                name,
                f"{', '.join(task.class_names[:10])} ({len(task.class_names)}), as in the recipe",
            )


def _check_labels(labels: NDArray[np.int64], name: str, classes: int) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise _wrong(
            f"label {labels[wrong[0]]} at position {wrong[0]:,} ({len(wrong):,} such labels)",
            name,
            f"0 to {classes - 1}: the recipe has {classes} classes",
        )


def _check_counts(entries: Sequence[Entry], options: CifarOptions) -> None:
    counted = Counter(entry.split for entry in entries)
    wanted = {"train": options.train_images, "test": options.test_images}
    problems = [
        f"{split}: {counted[split]:,} images, expected {number:,}"
        for split, number in wanted.items()
        if number is not None and counted[split] != number
    ]
    if problems:
        raise UpstreamError(
            "images are missing or too many", problems=problems, todo="fetch the files again, all of one release"
        )


def _wrong(what: str, name: str, expected: str) -> UpstreamError:
    return UpstreamError(what, where=name, expected=expected, todo="fetch the file again")


SOURCE = Cifar()
