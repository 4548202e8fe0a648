"""The digit-image judge: which class of a list an image shows, or none. One small network.

Images are converted to grey at 28x28. Weights are 8-bit integers (under 300 kB), computed in float32 in batches of one
size.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench.errors import PrerequisiteError
from xmbench.judges import stored
from xmbench.judges.header import header
from xmbench.media import image

FORMAT = "xmbench/digit-image-judge/1"
BATCH = 64
EMBEDDING = 64
SIZE = 28
_CHANNELS = (24, 40, 64, 16)
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def _block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class DigitNet(nn.Module):
    """Grey images (B, 28, 28) in 0..1 -> logits (B, K + 1); the last class is "none"."""

    def __init__(self, classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        a, b, c, d = _CHANNELS
        self.strokes = nn.Sequential(
            _block(1, a, 5, 2),  # (B, 24, 14, 14)
            _block(a, b),
            _block(b, b),
            nn.MaxPool2d(2),  # (B, 40, 7, 7)
            _block(b, c),
            _block(c, c),
            _block(c, d, 1),  # (B, 16, 7, 7)
        )
        flat = nn.Linear(d * (SIZE // 4) ** 2, EMBEDDING, bias=False)
        self.embedding = nn.Sequential(flat, nn.BatchNorm1d(EMBEDDING), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(EMBEDDING, classes + 1)

    def embed(self, images: Tensor) -> Tensor:
        """(B, 28, 28) -> (B, 64)."""
        found: Tensor = self.embedding(self.strokes(images[:, None]).flatten(1))
        return found

    def forward(self, images: Tensor) -> Tensor:
        """(B, 28, 28) -> (B, K + 1)."""
        logits: Tensor = self.head(self.dropout(self.embed(images)))
        return logits


@dataclass(frozen=True, eq=False)
class DigitImageJudge:
    """A network and the file that it was read from.

    Attributes:
        class_names: the K classes.
        network: in evaluation mode, with weights as they are stored.
        data: the safetensors file.
        device: where the network computes.
    """

    class_names: tuple[str, ...]
    network: DigitNet
    data: bytes
    device: str = "cpu"

    @classmethod
    def of(cls, class_names: Sequence[str], network: DigitNet) -> DigitImageJudge:
        """A judge of a trained network, rounded to what is stored, so that tests see what users get."""
        about = {"format": FORMAT, "classes": list(class_names), "size": SIZE}
        return cls.from_bytes(stored.pack(about, [network]))

    def probabilities(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Probabilities of the classes: float32 (N, K + 1), rows sum to 1, the last column is "none".

        Args:
            images: N images, uint8 (H, W, C), C = 1 or 3, bright ink on dark, any size.
        """
        width = len(self.class_names) + 1
        return stored.batched(_batches(images), lambda batch: torch.softmax(self.network(batch), 1), width, self.device)

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """The embedding, float32 (N, 64), for distances between sets of images."""
        return stored.batched(_batches(images), self.network.embed, EMBEDDING, self.device)

    @classmethod
    def from_bytes(cls, data: bytes, device: str = "cpu") -> DigitImageJudge:
        """Reads such a file; the last few stay loaded.

        Raises:
            PrerequisiteError: not weights of this judge, or of another version of it; no such device.
        """
        return _unpack(data, device)


def seen(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network's input from uint8 (H, W, C): grey, 28x28, float32 in 0..1."""
    if pixels.shape[:2] != (SIZE, SIZE):
        pixels = image.resize(pixels, SIZE, SIZE)
    grey = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels @ np.asarray(_LUMA, dtype=np.float32)
    return np.asarray(grey, dtype=np.float32) / np.float32(255.0)


def _batches(images: Sequence[NDArray[np.uint8]]) -> list[tuple[Tensor, int]]:
    """Batches of one size, each with the number of images that count: the last is filled with its first image."""
    found = []
    for start in range(0, len(images), BATCH):
        part = [seen(pixels) for pixels in images[start : start + BATCH]]
        found.append((torch.from_numpy(np.stack(part + part[:1] * (BATCH - len(part)))), len(part)))
    return found


@functools.lru_cache(maxsize=4)
def _unpack(data: bytes, device: str) -> DigitImageJudge:
    stored.require(device)
    weights = stored.tensors(data, FORMAT)
    classes = header(data).get("classes")
    if not isinstance(classes, list) or not classes:
        raise PrerequisiteError("the judge's weights name no classes", expected=f"a file of {FORMAT}")
    network = DigitNet(len(classes))
    stored.restore(network, weights, 0)
    return DigitImageJudge(tuple(map(str, classes)), network.to(device), data, device)
