"""The spoken-word judge: which word of a list is spoken, or none. A few small networks that vote.

Weights are stored as 8-bit integers with one scale per output channel (under 300 kB) and computed in float32, in
batches of one size.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xmbench.judges.rejecting import PLAIN, REJECTS, Rejection
from xmbench.judges.stored import pack, require, unpack
from xmbench.judges.words.features import BANDS, FRAMES
from xmbench.judges.words.judging import EMBEDDING, NetworksJudge, vote

FORMAT, FIRST_FORMAT = "xmbench/spoken-word-judge/2", "xmbench/spoken-word-judge/1"
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
class SpokenWordJudge(NetworksJudge):
    """Networks that vote by the mean of their log-probabilities.

    Attributes:
        networks: in evaluation mode, with weights as they are stored.
    """

    networks: tuple[WordNet, ...]

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

    def rejecting(self, rejection: Rejection) -> SpokenWordJudge:
        """The same networks with another rejection."""
        return self.of(self.class_names, self.networks, self.frames, rejection)

    @classmethod
    def _read(cls, data: bytes, device: str) -> SpokenWordJudge:
        return _unpack(data, device)

    def _logits(self, batch: Tensor) -> Tensor:
        return vote(self.networks, batch)

    def _embedded(self, batch: Tensor) -> Tensor:
        return self.networks[0].embed(batch)


@functools.lru_cache(maxsize=4)
def _unpack(data: bytes, device: str) -> SpokenWordJudge:
    require(device)
    about, networks = unpack(data, (FORMAT, FIRST_FORMAT), _untrained)
    placed = tuple(network.to(device) for network in networks)
    return SpokenWordJudge(tuple(about["words"]), data, about["frames"], device, Rejection.of(about), placed)


def _untrained(about: dict[str, Any]) -> WordNet:
    rejects = Rejection.of(about).outputs
    return WordNet(len(about["words"]), channels=about.get("channels", CHANNELS), rejects=rejects)
