"""MNIST: 60,000 training and 10,000 test digits, 28x28 grey, in the idx format of its four published files.

Any corpus in the same four files (Fashion-MNIST, KMNIST) is read the same way.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from xmbench.errors import UpstreamError
from xmbench.interfaces import Entry, Modality, Raw, RawImage, Rejected, Task, Upstream

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_UINT8 = 0x08


def parse_idx(data: bytes, dimensions: int, name: str) -> NDArray[np.uint8]:
    """Reads an idx file of unsigned bytes.

    Args:
        data: the uncompressed file: two zero bytes, the type (8), the number of dimensions, each size as a
            big-endian 32-bit number, then the values, last dimension fastest.
        dimensions: how many dimensions the file must have (1 for labels, 3 for images).
        name: the file's name, for messages.

    Returns:
        uint8, of the shape that the header states.

    Raises:
        UpstreamError: wrong magic number, or fewer or more values than the header says.
    """
    magic = bytes([0, 0, _UINT8, dimensions])
    if data[:4] != magic:
        raise UpstreamError(
            f"not an idx file of {dimensions} dimension(s): magic number {data[:4].hex() or 'missing'}",
            where=name,
            expected=magic.hex(),
            todo="check that the file is what its name says, uncompressed",
        )
    header = 4 + 4 * dimensions
    if len(data) < header:
        raise UpstreamError(
            f"the file ends inside its header ({len(data)} bytes)", where=name, expected=f"{header} bytes"
        )
    shape = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, header, 4))
    wanted, found = math.prod(shape), len(data) - header
    if found != wanted:
        raise UpstreamError(
            f"the file is {'too short' if found < wanted else 'too long'}: {found} values after the header",
            where=name,
            expected=f"{wanted} values for the shape {shape}",
            todo="fetch the file again",
        )
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape)


class MnistOptions(BaseModel):
    """MNIST has no options."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Mnist:
    """Handwritten digits in idx files; keys like `train-00017`, splits as published."""

    name = "mnist"
    yields: frozenset[Modality] = frozenset({"image"})
    Options = MnistOptions

    def versions(self, options: MnistOptions) -> dict[str, str]:
        """Only the files shape the content."""
        return {}

    def counts(self, sizes: Mapping[str, int], options: MnistOptions) -> dict[str, int]:
        """Items of each split: a file of labels is a header of 8 bytes and one byte per label."""
        return {split: sizes[labels] - 8 for split, (_, labels) in FILES.items() if labels in sizes}

    def entries(self, upstream: Upstream, options: MnistOptions, task: Task) -> list[Entry]:
        """One entry per image, training items first, in the order of the files.

        Raises:
            UpstreamError: not idx files, different counts of images and labels, or a label without a class.
        """
        there = set(upstream.names())
        found = []
        for split, (images_name, labels_name) in FILES.items():
            if not there & {images_name, labels_name}:
                continue
            labels = self._labels(upstream, split, len(task.class_names))
            width = max(5, len(str(len(labels) - 1)))
            for i, label in enumerate(labels.tolist()):
                key = f"{split}-{i:0{width}d}"
                found.append(Entry(key=key, split=split, label=label, group=key, locator=(split, i)))
        if not found:
            known = ", ".join(name for pair in FILES.values() for name in pair)
            raise UpstreamError("the recipe lists no files of a known form", expected=known)
        return found

    def read(
        self, upstream: Upstream, options: MnistOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """Pixels uint8 (H, W, 1) per entry, 0 = background, 255 = ink."""
        pixels: dict[str, NDArray[np.uint8]] = {}
        for entry in entries:
            split, index = entry.locator
            if split not in pixels:
                name = FILES[split][0]
                pixels[split] = parse_idx(upstream.read(name), 3, name)
            yield RawImage(pixels[split][index][:, :, None])

    @staticmethod
    def _labels(upstream: Upstream, split: str, classes: int) -> NDArray[np.uint8]:
        images_name, labels_name = FILES[split]
        labels = parse_idx(upstream.read(labels_name), 1, labels_name)
        images = parse_idx(upstream.read(images_name), 3, images_name)
        if len(images) != len(labels):
            raise UpstreamError(
                f"{len(images)} images and {len(labels)} labels",
                where=f"{images_name}, {labels_name}",
                expected="one label per image",
                todo="take both files from the same release",
            )
        if len(labels) and int(labels.max()) >= classes:
            raise UpstreamError(
                f"label {int(labels.max())} at position {int(labels.argmax())}",
                where=labels_name,
                expected=f"0 to {classes - 1}: the recipe has {classes} classes",
            )
        return labels


SOURCE = Mnist()
