"""The two networks of instrument sounds: convolutions over mel bands, and recurrence with attention over semitones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xmbench.judges.instrument_sounds.features import SEMITONES

EMBEDDING = 64
CHANNELS = (16, 32, 48, 64, 96)
HIDDEN = (64, 64)


def _block(inputs: int, outputs: int, kernel: tuple[int, int], padding: tuple[int, int], stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class TimbreNet(nn.Module):
    """Mel bands (B, 80, 44) -> logits (B, K + 1); the last class is "none"."""

    def __init__(self, classes: int, dropout: float = 0.3) -> None:
        super().__init__()
        a, b, c, d, e = CHANNELS
        self.bands = nn.Sequential(
            _block(1, a, (5, 5), (2, 2), 2),  # (B, 16, 40, 22)
            _block(a, b, (3, 3), (1, 1), 1),
            nn.MaxPool2d((2, 1)),  # (B, 32, 20, 22)
            _block(b, c, (3, 3), (1, 1), 1),
            nn.MaxPool2d((2, 2)),  # (B, 48, 10, 11)
            _block(c, d, (3, 3), (1, 1), 1),
            nn.MaxPool2d((2, 2)),  # (B, 64, 5, 5)
            _block(d, e, (5, 1), (0, 0), 1),  # (B, 96, 1, 5)
        )
        self.embedding = nn.Sequential(nn.Linear(2 * e, EMBEDDING), nn.BatchNorm1d(EMBEDDING), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(EMBEDDING, classes + 1)

    def embed(self, bands: Tensor) -> Tensor:
        """(B, 80, 44) -> (B, 64)."""
        h = self.bands(bands[:, None]).squeeze(2)
        found: Tensor = self.embedding(self.dropout(torch.cat([h.mean(2), h.amax(2)], 1)))
        return found

    def forward(self, bands: Tensor) -> Tensor:
        """(B, 80, 44) -> (B, K + 1)."""
        logits: Tensor = self.head(self.dropout(self.embed(bands)))
        return logits


class ToneNet(nn.Module):
    """Semitones (B, 96, 11) -> logits (B, K + 1); the last class is "none"."""

    def __init__(self, classes: int, dropout: float = 0.3) -> None:
        super().__init__()
        first, second = HIDDEN
        self.scaled = nn.BatchNorm1d(SEMITONES)
        self.first = nn.GRU(SEMITONES, first, batch_first=True, bidirectional=True)
        self.second = nn.GRU(2 * first, second, batch_first=True, bidirectional=True)
        self.look = nn.Linear(2 * second, 1)
        self.embedding = nn.Sequential(nn.Linear(4 * second, EMBEDDING), nn.BatchNorm1d(EMBEDDING), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(EMBEDDING, classes + 1)

    def embed(self, tones: Tensor) -> Tensor:
        """(B, 96, 11) -> (B, 64)."""
        h = self.scaled(tones).transpose(1, 2)
        h = self.dropout(self.first(h)[0])
        h = self.second(h)[0]  # (B, 11, 128)
        share = torch.softmax(self.look(h), 1)
        found: Tensor = self.embedding(self.dropout(torch.cat([(share * h).sum(1), h.mean(1)], 1)))
        return found

    def forward(self, tones: Tensor) -> Tensor:
        """(B, 96, 11) -> (B, K + 1)."""
        logits: Tensor = self.head(self.dropout(self.embed(tones)))
        return logits


NETWORKS: dict[str, type[TimbreNet] | type[ToneNet]] = {"mel": TimbreNet, "semitones": ToneNet}
