"""MobileNetV2 for the 1,000 classes of ImageNet, with 8-bit weights as published for an accelerator of Google.

The npz file holds, for each of the 53 layers that its array `order` names, `<layer>.w_u8` (O, I, H, W), `.scale`, `.zp`
and `.bias`: a weight is (w_u8 - zp) * scale, with batch normalisation folded in. The network is that of TensorFlow:
input 224 x 224, (pixels - 128) / 128; ReLU6; padding "same", whose odd pixel is at the bottom and at the right. The
first of its 1,001 outputs is "background": it is left out, and the others are scaled to sum to 1.

Source: M. Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018.
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

SIDE_PX = 224
_STRIDES = (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1)  # of blocks 0 to 16
_WIDTHS = (32, 16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)  # before block 0, after each
_EXPANSION, _LAST, _CLASSES = 6, 1280, 1001


class MobileNetV2:
    """MobileNetV2 1.0, 224 px, 8-bit weights (ImageNet-1k); ten times the speed of the large annotators."""

    name = "mobilenet-v2"
    modality: Modality = "image"
    shipped: Path | None = None
    published = (
        PublishedWeights(
            "mobilenet_v2_1.0_224_u8.npz",
            "made from mobilenet_v2_1.0_224_quant.tflite of https://github.com/google-coral/test_data",
            2_887_092,
            "f4e27c4b773c8031672faec551c03f84d41480834227db131dbda629c3213c32",
            "Apache-2.0",
        ),
    )

    def load(self, weights: Path, device: str = "cpu") -> Annotator:
        """Reads the npz file."""
        arrays = _weights.read_npz(weights)
        shapes = weight_shapes()
        _weights.check_shapes(weights, arrays, {f"{name}.w_u8": shape for name, shape in shapes.items()})
        _weights.check_shapes(weights, arrays, {f"{name}.bias": shape[:1] for name, shape in shapes.items()})
        for part in ("scale", "zp"):
            _weights.check_shapes(weights, arrays, {f"{name}.{part}": () for name in shapes})
        return _Loaded(restored(arrays), device)


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """Shape of the weights of every layer, in the order of the network."""
    found: dict[str, tuple[int, ...]] = {"conv_in": (_WIDTHS[0], 3, 3, 3)}
    for block in range(len(_STRIDES)):
        inside, outside = _WIDTHS[block], _WIDTHS[block + 1]
        wide = inside * (_EXPANSION if block else 1)
        if block:
            found[f"block{block}.expand"] = (wide, inside, 1, 1)
        found[f"block{block}.depthwise"] = (wide, 1, 3, 3)
        found[f"block{block}.project"] = (outside, wide, 1, 1)
    return found | {"conv_last": (_LAST, _WIDTHS[-1], 1, 1), "logits": (_CLASSES, _LAST, 1, 1)}


def restored(arrays: Mapping[str, NDArray[Any]]) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Weights and biases of every layer as float32."""
    found = {}
    for name in weight_shapes():
        codes = arrays[f"{name}.w_u8"].astype(np.float32)
        scaled = (codes - np.float32(arrays[f"{name}.zp"])) * np.float32(arrays[f"{name}.scale"])
        found[name] = scaled, np.asarray(arrays[f"{name}.bias"], np.float32)
    return found


class _Loaded:
    """MobileNetV2 with weights."""

    modality: Modality = "image"

    def __init__(self, layers: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]], device: str) -> None:
        import torch

        from xmbench.annotators._computing import on_device

        self.heads: Mapping[str, tuple[Label, ...]] = {_imagenet.HEAD: _imagenet.labels()}
        self._device = on_device(device)
        self._layers = {
            name: tuple(torch.from_numpy(part).to(self._device) for part in parts) for name, parts in layers.items()
        }

    def probabilities(self, items: Sequence[Media]) -> dict[str, NDArray[np.float32]]:
        """Softmax over the 1,000 classes, without the background."""
        from xmbench.annotators._computing import in_batches

        empty = {_imagenet.HEAD: np.empty((0, _CLASSES - 1), np.float32)}
        return in_batches(items, _prepared, self._forward, self._device) or empty

    def _forward(self, x: Any) -> dict[str, Any]:
        x = self._convolved(x, "conv_in", 2).clamp(0, 6)  # (B, 32, 112, 112)
        for block, stride in enumerate(_STRIDES):
            before = x
            if block:
                x = self._convolved(x, f"block{block}.expand").clamp(0, 6)
            x = self._convolved(x, f"block{block}.depthwise", stride, x.shape[1]).clamp(0, 6)
            x = self._convolved(x, f"block{block}.project")
            if block and x.shape == before.shape:
                x = x + before
        x = self._convolved(x, "conv_last").clamp(0, 6).mean((2, 3), keepdim=True)
        return {_imagenet.HEAD: self._convolved(x, "logits")[:, 1:, 0, 0].softmax(1)}

    def _convolved(self, x: Any, name: str, stride: int = 1, groups: int = 1) -> Any:
        from torch.nn import functional

        weight, bias = self._layers[name]
        edges: list[int] = []
        for size, kernel in ((x.shape[3], weight.shape[3]), (x.shape[2], weight.shape[2])):
            needed = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            edges += [needed // 2, needed - needed // 2]
        return functional.conv2d(functional.pad(x, edges), weight, bias, stride, groups=groups)


def _prepared(item: Picture) -> NDArray[np.float32]:
    from xmbench.annotators._computing import squared

    return np.ascontiguousarray(((squared(item, SIDE_PX).astype(np.float32) - 128) / 128).transpose(2, 0, 1))


ANNOTATOR = MobileNetV2()
