"""What every judge of spoken words does with its networks: batches of one size, a vote, the rejection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench.judges.rejecting import Rejection
from xmbench.judges.stored import batched, exactly
from xmbench.judges.words.features import FRAMES, features

BATCH = 64
EMBEDDING = 64


@dataclass(frozen=True, eq=False)
class NetworksJudge(ABC):
    """A judge that consists of networks; a subclass has them, and reads them.

    Attributes:
        class_names: the K words.
        data: the safetensors file that the networks were read from.
        frames: of a clip that the networks get.
        device: where the networks compute.
        rejection: how it rejects.
    """

    class_names: tuple[str, ...]
    data: bytes
    frames: int
    device: str
    rejection: Rejection

    @classmethod
    def from_bytes(cls, data: bytes, device: str = "cpu") -> Self:
        """Reads such a file; the last few stay loaded.

        Raises:
            PrerequisiteError: not weights of this judge, or of another version of it or of what it builds on; no such
                device.
        """
        return cls._read(data, device)

    def probabilities(self, clips: Sequence[NDArray[np.float32]], sample_rate_hz: int) -> NDArray[np.float32]:
        """Probabilities of the words: float32 (N, K + 1), rows sum to 1, the last column is "none of them".

        Args:
            clips: N clips, float32 (T,), any length; only relative levels matter.
            sample_rate_hz: of all of them.
        """
        return batched(self._batches(clips, sample_rate_hz), self._rejected, len(self.class_names) + 1, self.device)

    def embed(self, clips: Sequence[NDArray[np.float32]], sample_rate_hz: int) -> NDArray[np.float32]:
        """The embedding of one of the networks, float32 (N, 64), for distances between sets of clips."""
        return batched(self._batches(clips, sample_rate_hz), self._embedded, EMBEDDING, self.device)

    @classmethod
    @abstractmethod
    def _read(cls, data: bytes, device: str) -> Self: ...

    @abstractmethod
    def _logits(self, batch: Tensor) -> Tensor:
        """What the networks say of a batch, (B, K + R): before the rejection."""

    @abstractmethod
    def _embedded(self, batch: Tensor) -> Tensor:
        """The embedding of a batch, (B, 64)."""

    def _batches(self, clips: Sequence[NDArray[np.float32]], sample_rate_hz: int) -> list[tuple[Tensor, int]]:
        """What the networks hear, in batches of one size, each with the number of clips that count: mel bands."""
        return batches(clips, sample_rate_hz, self.frames)

    def _rejected(self, batch: Tensor) -> Tensor:
        return self.rejection.probabilities(self._logits(batch))


def vote(networks: Sequence[nn.Module], seen: Tensor) -> Tensor:
    """The mean of the networks' log-probabilities, (B, K + R)."""
    return torch.stack([torch.log_softmax(network(seen), 1) for network in networks]).mean(0)


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
