"""Inception-ResNet-v2 for the 1,000 classes of ImageNet: the image annotator of the paper; the network is timm's.

Weights are a safetensors file, or one of `torch.save`, with timm's names. Input: the centred square at 333 x 333
pixels, of which the central 299 x 299, in the range -1..1.

Source: C. Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on learning", 2016.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.annotators import _imagenet
from xmbench.errors import PrerequisiteError
from xmbench.interfaces import Annotator, Label, Modality, PublishedWeights
from xmbench.media.signal import Media, Picture
from xmbench.networks import weight_files as _weights

SIDE_PX = 299
_RESIZED_PX = 333  # 299 / 0.8975, as timm evaluates it


class InceptionResNetV2:
    """Inception-ResNet-v2 (ImageNet-1k), through timm."""

    name = "inception-resnet-v2"
    modality: Modality = "image"
    shipped: Path | None = None
    published = (
        PublishedWeights(
            "model.safetensors",
            "https://huggingface.co/timm/inception_resnet_v2.tf_in1k (its page states the sha256; about 224 MB)",
            0,
            "",
            "Apache-2.0",
        ),
    )

    def load(self, weights: Path, device: str = "cpu") -> Annotator:
        """Reads safetensors, or a state dict of torch."""
        return _Loaded(weights, device)


class _Loaded:
    """Inception-ResNet-v2 with weights."""

    modality: Modality = "image"

    def __init__(self, weights: Path, device: str) -> None:
        from xmbench.annotators._computing import on_device

        self.heads: Mapping[str, tuple[Label, ...]] = {_imagenet.HEAD: _imagenet.labels()}
        self._device = on_device(device)
        self._network = _network(weights).to(self._device).eval()

    def probabilities(self, items: Sequence[Media]) -> dict[str, NDArray[np.float32]]:
        """Softmax over the 1,000 classes."""
        from xmbench.annotators._computing import in_batches

        empty = {_imagenet.HEAD: np.empty((0, 1000), np.float32)}
        return in_batches(items, _prepared, self._forward, self._device) or empty

    def _forward(self, x: Any) -> dict[str, Any]:
        return {_imagenet.HEAD: self._network(x).softmax(1)}


def _network(weights: Path) -> Any:
    import torch

    try:
        from timm import create_model
    except ImportError as error:
        raise PrerequisiteError("the annotator needs the package timm", todo="pip install 'timm>=1.0.20'") from error
    network = create_model("inception_resnet_v2", pretrained=False, num_classes=1000)
    arrays = _read(weights)
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items() if value.is_floating_point()}
    _weights.check_shapes(weights, arrays, wanted)
    network.load_state_dict(
        {name: torch.from_numpy(np.array(arrays[name])) for name in wanted}, strict=False
    )  # all but the counters of batch normalisation, which evaluation does not use
    return network


def _read(weights: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if weights.suffix != ".safetensors":
        return _weights.read_torch(weights)
    _weights.check_size(weights)
    try:
        return dict(load_file(weights))
    except (SafetensorError, OSError, ValueError) as error:
        raise _weights.wrong_layout(weights, "a safetensors file with timm's names", error) from error


def _prepared(item: Picture) -> NDArray[np.float32]:
    from xmbench.annotators._computing import squared

    edge = (_RESIZED_PX - SIDE_PX) // 2
    pixels = squared(item, _RESIZED_PX)[edge : edge + SIDE_PX, edge : edge + SIDE_PX]
    return np.ascontiguousarray((pixels.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1))


ANNOTATOR = InceptionResNetV2()
