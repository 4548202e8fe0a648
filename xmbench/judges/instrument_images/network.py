"""The judge of instrument images: which instrument of a list an image shows, or none.

Images are resized to 64 x 64 pixels whatever their size, so that small outputs and large photographs look alike, and
enlarged to the 96 x 96 at which the frozen network sees them. Only what stands above that network is trained here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import Modality
from xmbench.judges import stored
from xmbench.judges.instrument_images.photo_features import block_shapes, digest, photo_features
from xmbench.judges.rejecting import Rejection
from xmbench.media import image
from xmbench.media.signal import Media, Picture

FORMAT = "xmbench/instrument-image-judge/1"
BATCH = 32
EMBEDDING = 64
SIZE, SHOWN = 64, 96  # pixels: of an image, and of what the frozen network sees
TAKEN = (6, 10)  # its blocks
GRID = 3
FEATURES = sum(block_shapes()[block][2] for block in TAKEN) * (GRID**2 + 1)
PLAIN = Rejection(outputs=1)


class SceneNet(nn.Module):
    """Photo features (B, 1600) -> logits (B, K + 1); the last class is "none"."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, classes: int, dropout: float = 0.3, noise: float = 0.3) -> None:
        """A network.

        Args:
            classes: K.
            dropout: in training.
            noise: added to the scaled features in training, in standard deviations.
        """
        super().__init__()
        self.noise = noise
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("deviation", torch.ones(FEATURES))
        self.embedding = nn.Linear(FEATURES, EMBEDDING)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(EMBEDDING, classes + 1)

    def embed(self, features: Tensor) -> Tensor:
        """(B, 1600) -> (B, 64)."""
        h = (features - self.mean) / self.deviation
        if self.training:
            h = h + self.noise * torch.randn_like(h)
        return F.gelu(self.embedding(self.dropout(h)))

    def forward(self, features: Tensor) -> Tensor:
        """(B, 1600) -> (B, K + 1)."""
        logits: Tensor = self.head(self.dropout(self.embed(features)))
        return logits


def seen(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image uint8 (H, W, C) as RGB at 64 x 64, uint8 (3, 64, 64)."""
    if pixels.shape[:2] != (SIZE, SIZE):
        pixels = image.resize(pixels, SIZE, SIZE)
    colours = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    return np.ascontiguousarray(colours.transpose(2, 0, 1))


def features(images: Tensor, device: str = "cpu") -> Tensor:
    """Images (B, 3, 64, 64) of 0..255 -> photo features (B, 1600): means over a grid, and maxima, of two blocks."""
    shown = F.interpolate(images, (SHOWN, SHOWN), mode="bicubic", align_corners=False)
    maps = photo_features(device)((shown - 128.0) / 128.0, TAKEN)
    parts = [part for h in maps for part in (F.adaptive_avg_pool2d(h, GRID).flatten(1), h.amax((2, 3)))]
    return torch.cat(parts, 1)


@dataclass(eq=False)
class InstrumentImageJudge:
    """A judge of images (`xmbench.interfaces.Judge`).

    Attributes:
        class_names: the K instruments.
        network: in evaluation mode, with weights as they are stored.
        rejection: how it rejects.
        data: the safetensors file.
        device: where the networks compute.
    """

    class_names: tuple[str, ...]
    network: SceneNet
    rejection: Rejection
    data: bytes
    device: str = "cpu"
    modality: Modality = "image"
    embedding_size: int = EMBEDDING

    @classmethod
    def of(cls, class_names: Sequence[str], network: SceneNet, rejection: Rejection = PLAIN) -> InstrumentImageJudge:
        """A judge of a trained network, rounded to what is stored, so that tests see what users get."""
        about = {"format": FORMAT, "classes": list(class_names), "photo_features": digest()}
        return cls.from_bytes(stored.pack(about | {"rejection": asdict(rejection)}, [network]))

    def rejecting(self, rejection: Rejection) -> InstrumentImageJudge:
        """The same network with another rejection."""
        return self.of(self.class_names, self.network, rejection)

    @classmethod
    def from_bytes(cls, data: bytes, device: str = "cpu") -> InstrumentImageJudge:
        """Reads such a file; the last few stay loaded.

        Raises:
            PrerequisiteError: not weights of such a judge, or of another version of it or of what it sees through; no
                such device.
        """
        return _unpack(data, device)

    def probabilities(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, K + 1), rows sum to 1; the last column is "none". Images of any size, grey or RGB."""

        def named(batch: Tensor) -> Tensor:
            return self.rejection.probabilities(self.network(features(batch, self.device)))

        return stored.batched(_batches(items), named, len(self.class_names) + 1, self.device)

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, 64), for distances between sets of images."""
        return stored.batched(
            _batches(items), lambda batch: self.network.embed(features(batch, self.device)), EMBEDDING, self.device
        )


def _batches(items: Sequence[Media]) -> Iterator[tuple[Tensor, int]]:
    """Batches of one size, each with the number of images that count: the last is filled with its first image."""
    pictures = [item for item in items if isinstance(item, Picture)]
    if len(pictures) != len(items):
        raise TypeError("a judge of images needs images")
    for start in range(0, len(pictures), BATCH):
        part = [seen(picture.pixels) for picture in pictures[start : start + BATCH]]
        yield torch.from_numpy(np.stack(part + part[:1] * (BATCH - len(part)))).float(), len(part)


@functools.lru_cache(maxsize=4)
def _unpack(data: bytes, device: str) -> InstrumentImageJudge:
    stored.require(device)
    about, (network,) = stored.unpack(data, FORMAT, lambda about: SceneNet(len(tuple(about["classes"]))))
    if about.get("photo_features") != digest():
        raise PrerequisiteError(
            "the judge was trained on other photo features",
            expected=f"sha256 {about.get('photo_features')}, found {digest()}",
            todo="install the version of xmbench that trained it, or fit it again",
        )
    return InstrumentImageJudge(
        tuple(map(str, about["classes"])), network.to(device), Rejection.of(about), data, device
    )
