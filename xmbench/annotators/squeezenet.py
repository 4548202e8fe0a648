"""SqueezeNet 1.0 for the 1,000 classes of ImageNet, with the published weights of Deep Compression.

Two layouts are read: `compressed_SqueezeNet.net` as published (8-bit codes into a codebook per layer, zeros by run
length), and an npz file of the decoded arrays under the names of torchvision's `squeezenet1_0`. The network is that of
Caffe: input 227 x 227 in the order blue, green, red minus its mean; pools reach over the edge (ceil mode); the last
convolution has a padding of 1.

Source: F. Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016;
S. Han, H. Mao, W. Dally, "Deep Compression", ICLR 2016.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.annotators import _imagenet
from xmbench.interfaces import Annotator, Label, Modality, PublishedWeights
from xmbench.media.signal import Media, Picture
from xmbench.networks import weight_files as _weights

SIDE_PX = 227
_MEAN = np.array([104.0, 117.0, 123.0], np.float32)  # of blue, green, red
_FIRES = {3: (96, 16, 64), 4: (128, 16, 64), 5: (128, 32, 128), 7: (256, 32, 128)}  # number -> in, squeeze, expand
_FIRES |= {8: (256, 48, 192), 9: (384, 48, 192), 10: (384, 64, 256), 12: (512, 64, 256)}
_POOLED = (5, 10)  # fires that are followed by a pool: numbers 6 and 11 of torchvision's list
_BOOK = 256


class SqueezeNet:
    """SqueezeNet 1.0 (ImageNet-1k); small, and the weakest of the image annotators."""

    name = "squeezenet"
    modality: Modality = "image"
    shipped: Path | None = None
    published = (
        PublishedWeights(
            "compressed_SqueezeNet.net",
            "https://github.com/songhan/SqueezeNet-Deep-Compression/raw/master/compressed_SqueezeNet.net",
            675_763,
            "e4ab6960ae8cd81505e1c2136921201507e930966c53deaf15862a395b3a3261",
            "BSD-2-Clause",
        ),
    )

    def load(self, weights: Path, device: str = "cpu") -> Annotator:
        """Reads either layout."""
        shapes = weight_shapes()
        packed = _weights.layout_of(weights) == "npz"
        arrays = _weights.read_npz(weights) if packed else decompressed(weights, shapes)
        _weights.check_shapes(weights, arrays, shapes)
        return _Loaded({name: arrays[name] for name in shapes}, device)


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """Name and shape of every array, in the order of Caffe's layers."""
    found: dict[str, tuple[int, ...]] = {"features.0.weight": (96, 3, 7, 7), "features.0.bias": (96,)}
    for number, (inside, squeeze, expand) in _FIRES.items():
        for part, shape in (
            ("squeeze", (squeeze, inside, 1, 1)),
            ("expand1x1", (expand, squeeze, 1, 1)),
            ("expand3x3", (expand, squeeze, 3, 3)),
        ):
            found[f"features.{number}.{part}.weight"] = shape
            found[f"features.{number}.{part}.bias"] = shape[:1]
    return found | {"classifier.1.weight": (1000, 512, 1, 1), "classifier.1.bias": (1000,)}


def decompressed(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """The arrays of a file of Deep Compression.

    The file holds the number of codes of each layer (uint32), then for each layer a codebook of 256 values and its
    biases (float32), the codes (8 bits), and for each code the number of zeros before it (4 bits, the lower half of a
    byte first).

    Raises:
        PrerequisiteError: another file, or one that was cut off.
    """
    _weights.check_size(path)
    data = path.read_bytes()
    names = [name.removesuffix(".weight") for name in shapes if name.endswith(".weight")]
    at, found = 4 * len(names), dict[str, NDArray[np.float32]]()
    try:
        counts = np.frombuffer(data, "<u4", len(names))
        for name, codes in zip(names, counts.tolist(), strict=True):
            shape, biases = shapes[f"{name}.weight"], shapes[f"{name}.bias"][0]
            book = np.frombuffer(data, "<f4", _BOOK, at)
            found[f"{name}.bias"] = np.frombuffer(data, "<f4", biases, at + 4 * _BOOK)
            at += 4 * (_BOOK + biases)
            values = np.frombuffer(data, np.uint8, codes, at)
            pairs = np.frombuffer(data, np.uint8, (codes + 1) // 2, at + codes)
            at += codes + len(pairs)
            zeros = np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)[:codes]
            dense = np.zeros(int(np.prod(shape)), np.uint8)
            dense[np.cumsum(zeros.astype(np.int64) + 1) - 1] = values
            found[f"{name}.weight"] = book[dense].reshape(shape)
        if at != len(data):
            raise ValueError(f"{len(data):,} bytes, {at:,} expected")
    except (ValueError, IndexError) as error:
        raise _weights.wrong_layout(path, "compressed_SqueezeNet.net, or an npz file of its arrays", error) from error
    return found


class _Loaded:
    """SqueezeNet with weights."""

    modality: Modality = "image"

    def __init__(self, arrays: Mapping[str, NDArray[Any]], device: str) -> None:
        import torch

        from xmbench.annotators._computing import on_device

        self.heads: Mapping[str, tuple[Label, ...]] = {_imagenet.HEAD: _imagenet.labels()}
        self._device = on_device(device)
        self._weights = {
            name: torch.from_numpy(np.array(value, np.float32)).to(self._device) for name, value in arrays.items()
        }

    def probabilities(self, items: Sequence[Media]) -> dict[str, NDArray[np.float32]]:
        """Softmax over the mean of the last feature maps."""
        from xmbench.annotators._computing import in_batches

        empty = {_imagenet.HEAD: np.empty((0, 1000), np.float32)}
        return in_batches(items, _prepared, self._forward, self._device) or empty

    def _forward(self, x: Any) -> dict[str, Any]:
        import torch
        from torch.nn import functional

        def convolved(x: Any, name: str, **options: int) -> Any:
            return functional.conv2d(
                x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], **options
            ).relu()

        def pooled(x: Any) -> Any:
            return functional.max_pool2d(x, 3, 2, ceil_mode=True)

        x = pooled(convolved(x, "features.0", stride=2))  # (B, 96, 56, 56)
        for number in _FIRES:
            x = convolved(x, f"features.{number}.squeeze")
            wide = convolved(x, f"features.{number}.expand3x3", padding=1)
            x = torch.cat([convolved(x, f"features.{number}.expand1x1"), wide], 1)
            x = pooled(x) if number in _POOLED else x
        x = convolved(x, "classifier.1", padding=1).mean((2, 3))
        return {_imagenet.HEAD: x.softmax(1)}


def _prepared(item: Picture) -> NDArray[np.float32]:
    from xmbench.annotators._computing import squared

    values = squared(item, SIDE_PX)[:, :, ::-1].astype(np.float32) - _MEAN
    return np.ascontiguousarray(values.transpose(2, 0, 1))


ANNOTATOR = SqueezeNet()
