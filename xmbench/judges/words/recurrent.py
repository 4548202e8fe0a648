"""The second spoken-word judge: another network on other features, to show whether a score depends on the judge.

Both start from the same mel bands. This one gets their cepstra with the mean removed, slopes and curvatures, not the
bands; it has gated recurrent units with attention, where the first one convolves; it is trained on other draws of the
augmentation. Outputs that were optimised to fool the first one rarely fool this one in the same way
(recipes/judges/README.md has the figures).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xmbench.judges.rejecting import PLAIN, REJECTS, Rejection
from xmbench.judges.stored import pack, require, unpack
from xmbench.judges.words.features import BANDS, FRAMES
from xmbench.judges.words.judging import EMBEDDING, NetworksJudge

FORMAT, FIRST_FORMAT = "xmbench/recurrent-word-judge/2", "xmbench/recurrent-word-judge/1"
CEPSTRA = 16
HIDDEN = (64, 48)
_STRIDE = 3  # frames read together
_SLOPE_FRAMES = 2  # on either side


def cosines() -> Tensor:
    """Orthonormal DCT-II, shape (CEPSTRA, BANDS)."""
    order, band = torch.arange(CEPSTRA)[:, None], torch.arange(BANDS)[None]
    table = torch.cos(math.pi / BANDS * (band + 0.5) * order) * math.sqrt(2.0 / BANDS)
    table[0] /= math.sqrt(2.0)
    return table


def slopes(values: Tensor) -> Tensor:
    """Regression slope over 5 frames: (B, D, T) -> (B, D, T)."""
    padded = nn.functional.pad(values, (_SLOPE_FRAMES, _SLOPE_FRAMES), mode="replicate")
    size = values.shape[2]
    found = torch.zeros_like(values)
    for step in range(1, _SLOPE_FRAMES + 1):
        later, earlier = (
            padded[..., _SLOPE_FRAMES + step :][..., :size],
            padded[..., _SLOPE_FRAMES - step :][..., :size],
        )
        found = found + step * (later - earlier)
    return found / (2 * sum(step**2 for step in range(1, _SLOPE_FRAMES + 1)))


class RecurrentNet(nn.Module):
    """Mel bands (B, 40, T) -> logits (B, K + R): the words, then `REJECTS`."""

    table: Tensor

    def __init__(
        self, classes: int, dropout: float = 0.2, hidden: Sequence[int] = HIDDEN, rejects: int = len(REJECTS)
    ) -> None:
        super().__init__()
        first, second = self.hidden = tuple(hidden)
        self.register_buffer("table", cosines(), persistent=False)
        self.scaled = nn.BatchNorm1d(3 * CEPSTRA)
        self.first = nn.GRU(_STRIDE * 3 * CEPSTRA, first, batch_first=True, bidirectional=True)
        self.second = nn.GRU(2 * first, second, batch_first=True, bidirectional=True)
        self.look = nn.Linear(2 * second, 1)
        self.embedding = nn.Sequential(nn.Linear(4 * second, EMBEDDING), nn.BatchNorm1d(EMBEDDING), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(EMBEDDING, classes + rejects)

    def embed(self, bands: Tensor) -> Tensor:
        """(B, 40, T) -> (B, 64)."""
        cepstra = torch.einsum("cb,nbt->nct", self.table, bands)
        cepstra = cepstra - cepstra.mean(2, keepdim=True)
        slope = slopes(cepstra)
        h = self.scaled(torch.cat([cepstra, slope, slopes(slope)], 1)).transpose(1, 2)  # (B, T, 48)
        h = h[:, : h.shape[1] // _STRIDE * _STRIDE].reshape(len(h), -1, _STRIDE * h.shape[2])  # (B, T / 3, 144)
        h = self.dropout(self.first(h)[0])
        h = self.second(h)[0]  # (B, T / 3, 96)
        share = torch.softmax(self.look(h), 1)
        found: Tensor = self.embedding(torch.cat([(share * h).sum(1), h.mean(1)], 1))
        return found

    def forward(self, bands: Tensor) -> Tensor:
        """(B, 40, T) -> (B, K + R)."""
        logits: Tensor = self.head(self.dropout(self.embed(bands)))
        return logits


@dataclass(frozen=True, eq=False)
class RecurrentWordJudge(NetworksJudge):
    """One recurrent network, with the same interface as `SpokenWordJudge`.

    Attributes:
        network: in evaluation mode, with weights as they are stored.
    """

    network: RecurrentNet

    @classmethod
    def of(
        cls, class_names: Sequence[str], network: RecurrentNet, frames: int = FRAMES, rejection: Rejection | None = None
    ) -> RecurrentWordJudge:
        """A judge of a trained network, rounded to what is stored, so that tests see what users get."""
        about: dict[str, Any] = {"format": FORMAT, "words": tuple(class_names), "networks": 1, "cepstra": CEPSTRA}
        about |= {"frames": frames, "hidden": network.hidden, "rejection": asdict(rejection or PLAIN)}
        return cls.from_bytes(pack(about, [network]))

    def rejecting(self, rejection: Rejection) -> RecurrentWordJudge:
        """The same network with another rejection."""
        return self.of(self.class_names, self.network, self.frames, rejection)

    @classmethod
    def _read(cls, data: bytes, device: str) -> RecurrentWordJudge:
        return _unpack(data, device)

    def _logits(self, batch: Tensor) -> Tensor:
        found: Tensor = self.network(batch)
        return found

    def _embedded(self, batch: Tensor) -> Tensor:
        return self.network.embed(batch)


@functools.lru_cache(maxsize=4)
def _unpack(data: bytes, device: str) -> RecurrentWordJudge:
    require(device)
    about, (network,) = unpack(data, (FORMAT, FIRST_FORMAT), _untrained)
    placed = network.to(device)
    return RecurrentWordJudge(tuple(about["words"]), data, about["frames"], device, Rejection.of(about), placed)


def _untrained(about: dict[str, Any]) -> RecurrentNet:
    rejects = Rejection.of(about).outputs
    return RecurrentNet(len(about["words"]), hidden=about.get("hidden", HIDDEN), rejects=rejects)
