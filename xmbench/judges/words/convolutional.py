"""The spoken-word judge: which word of a list is spoken, or none. A few small networks that vote.

Weights are stored as 8-bit integers with one scale per output channel (under 300 kB) and computed in float32, in
batches of one size.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench.judges.stored import batched, exactly, pack, require, unpack
from xmbench.judges.words.features import BANDS, FRAMES, features
from xmbench.judges.words.rejecting import PLAIN, REJECTS, Rejection

FORMAT, FIRST_FORMAT = "xmbench/spoken-word-judge/2", "xmbench/spoken-word-judge/1"
BATCH = 64
EMBEDDING = 64
CHANNELS = (12, 24, 40, 60)


def _block(inputs: int, outputs: int, kernel: tuple[int, int], padding: tuple[int, int], stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class WordNet(nn.Module):
    """Mel bands (B, 40, T) -> logits (B, K + R): the words, then `REJECTS`. Shapes below are for T = 96."""

    def __init__(
        self, classes: int, dropout: float = 0.2, channels: Sequence[int] = CHANNELS, rejects: int = len(REJECTS)
    ) -> None:
        super().__init__()
        a, b, c, d = self.channels = tuple(channels)
        self.bands = nn.Sequential(
            _block(1, a, (5, 5), (2, 2), 2),  # (B, 12, 20, 48)
            _block(a, b, (3, 3), (1, 1), 1),
            nn.MaxPool2d((2, 1)),  # (B, 24, 10, 48)
            _block(b, c, (3, 3), (1, 1), 1),
            nn.MaxPool2d((2, 2)),  # (B, 40, 5, 24)
            _block(c, d, (5, 3), (0, 1), 1),  # (B, 60, 1, 24)
        )
        self.near = nn.Sequential(nn.Conv1d(d, d, 3, padding=1, bias=False), nn.BatchNorm1d(d), nn.ReLU())
        self.far = nn.Sequential(nn.Conv1d(d, d, 5, padding=4, dilation=2, bias=False), nn.BatchNorm1d(d), nn.ReLU())
        self.embedding = nn.Sequential(nn.Linear(2 * d, EMBEDDING), nn.BatchNorm1d(EMBEDDING), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(EMBEDDING, classes + rejects)

    def embed(self, bands: Tensor) -> Tensor:
        """(B, 40, T) -> (B, 64)."""
        h = self.bands(bands[:, None]).squeeze(2)  # (B, 60, 24)
        h = h + self.near(h)
        h = h + self.far(h)
        found: Tensor = self.embedding(torch.cat([h.mean(2), h.amax(2)], 1))
        return found

    def forward(self, bands: Tensor) -> Tensor:
        """(B, 40, T) -> (B, K + R)."""
        logits: Tensor = self.head(self.dropout(self.embed(bands)))
        return logits


@dataclass(frozen=True, eq=False)
class SpokenWordJudge:
    """Networks that vote by the mean of their log-probabilities.

    Attributes:
        class_names: the K words.
        networks: in evaluation mode, with weights as they are stored.
        data: the safetensors file that they were read from.
        frames: of a clip that the networks get.
        device: where the networks compute.
        rejection: how it rejects.
    """

    class_names: tuple[str, ...]
    networks: tuple[WordNet, ...]
    data: bytes
    frames: int = FRAMES
    device: str = "cpu"
    rejection: Rejection = PLAIN

    @classmethod
    def of(
        cls,
        class_names: Sequence[str],
        networks: Sequence[WordNet],
        frames: int = FRAMES,
        rejection: Rejection | None = None,
    ) -> SpokenWordJudge:
        """A judge of trained networks, rounded to what is stored, so that tests see what users get."""
        about: dict[str, Any] = {"format": FORMAT, "words": tuple(class_names), "networks": len(networks)}
        about |= {"bands": BANDS, "frames": frames, "rejection": asdict(rejection or PLAIN)}
        if networks[0].channels != CHANNELS:
            about["channels"] = networks[0].channels
        return cls.from_bytes(pack(about, networks))

    def probabilities(self, clips: Sequence[NDArray[np.float32]], sample_rate_hz: int) -> NDArray[np.float32]:
        """Probabilities of the words: float32 (N, K + 1), rows sum to 1, the last column is "none of them".

        Args:
            clips: N clips, float32 (T,), any length; only relative levels matter.
            sample_rate_hz: of all of them.
        """
        seen = batches(clips, sample_rate_hz, self.frames)
        return batched(seen, self._vote, len(self.class_names) + 1, self.device)

    def embed(self, clips: Sequence[NDArray[np.float32]], sample_rate_hz: int) -> NDArray[np.float32]:
        """The first network's embedding, float32 (N, 64), for distances between sets of clips."""
        return batched(batches(clips, sample_rate_hz, self.frames), self.networks[0].embed, EMBEDDING, self.device)

    def _vote(self, batch: Tensor) -> Tensor:
        votes = torch.stack([torch.log_softmax(network(batch), 1) for network in self.networks]).mean(0)
        return self.rejection.probabilities(votes)

    def rejecting(self, rejection: Rejection) -> SpokenWordJudge:
        """The same networks with another rejection."""
        return self.of(self.class_names, self.networks, self.frames, rejection)

    @classmethod
    def from_bytes(cls, data: bytes, device: str = "cpu") -> SpokenWordJudge:
        """Reads such a file; the last few stay loaded.

        Raises:
            PrerequisiteError: not weights of this judge, or of another version of it; no such device.
        """
        return _unpack(data, device)


def batches(
    clips: Sequence[NDArray[np.float32]], sample_rate_hz: int, frames: int = FRAMES
) -> list[tuple[Tensor, int]]:
    """Batches of one size, each with the number of clips that count: the last is filled with its first clip."""
    found = []
    for start in range(0, len(clips), BATCH):
        part = list(clips[start : start + BATCH])
        with exactly():  # the bands are sums too
            seen = features(part + part[:1] * (BATCH - len(part)), sample_rate_hz, frames)
        found.append((seen, len(part)))
    return found


@functools.lru_cache(maxsize=4)
def _unpack(data: bytes, device: str) -> SpokenWordJudge:
    require(device)
    about, networks = unpack(data, (FORMAT, FIRST_FORMAT), _untrained)
    placed = tuple(network.to(device) for network in networks)
    return SpokenWordJudge(tuple(about["words"]), placed, data, about["frames"], device, Rejection.of(about))


def _untrained(about: dict[str, Any]) -> WordNet:
    rejects = Rejection.of(about).outputs
    return WordNet(len(about["words"]), channels=about.get("channels", CHANNELS), rejects=rejects)
