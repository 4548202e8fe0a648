"""Spoken-word judges on Google's speech embedding: small networks that vote over its windows around the word.

The embedding was trained by others on real speech of many speakers and stays as it is (`speech_embedding`); only the
small networks here are trained, on synthesised words. A judge's file has those alone and the digest of the embedding.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench.errors import PrerequisiteError
from xmbench.judges.rejecting import PLAIN, REJECTS, Rejection
from xmbench.judges.stored import exactly, pack, require, unpack
from xmbench.judges.words import speech_embedding
from xmbench.judges.words.features import FRAMES
from xmbench.judges.words.judging import EMBEDDING, NetworksJudge, vote
from xmbench.judges.words.speech_embedding import SIZE

FORMAT = "xmbench/embedding-word-judge/1"
BATCH = 32
HIDDEN = 112
_WINDOWS, _FRAMES_PER_WINDOW = 7, 8  # for FRAMES, and for every so many more


def windows_for(frames: int) -> int:
    """Windows of the embedding for words of up to this many frames of 10 ms: 7, or more for long words."""
    return _WINDOWS + math.ceil(max(0, frames - FRAMES) / _FRAMES_PER_WINDOW)


class WindowNet(nn.Module):
    """Embeddings of windows (B, W, 96) -> logits (B, K + R): the words, then `REJECTS`."""

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        classes: int,
        windows: int,
        dropout: float = 0.4,
        noise: float = 0.6,
        hidden: int = HIDDEN,
        rejects: int = len(REJECTS),
    ) -> None:
        """A network.

        Args:
            classes: K.
            windows: W.
            dropout: in training.
            noise: added to the scaled embeddings in training, in standard deviations: what synthesis does not say
                about people.
            hidden: channels.
            rejects: R.
        """
        super().__init__()
        self.windows, self.hidden, self.noise = windows, hidden, noise
        self.register_buffer("mean", torch.zeros(SIZE))
        self.register_buffer("deviation", torch.ones(SIZE))
        self.first = nn.Conv1d(SIZE, hidden, 3, padding=1)
        self.second = nn.Conv1d(hidden, hidden, 3, padding=1)
        self.embedding = nn.Linear(hidden * windows, EMBEDDING)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(EMBEDDING, classes + rejects)

    def embed(self, seen: Tensor) -> Tensor:
        """(B, W, 96) -> (B, 64)."""
        h = (seen - self.mean) / self.deviation
        if self.training:
            h = h + self.noise * torch.randn_like(h)
        h = F.gelu(self.first(self.dropout(h.transpose(1, 2))))
        h = F.gelu(self.second(self.dropout(h)))
        return F.gelu(self.embedding(self.dropout(h.flatten(1))))

    def forward(self, seen: Tensor) -> Tensor:
        """(B, W, 96) -> (B, K + R)."""
        logits: Tensor = self.head(self.embed(seen))
        return logits


@dataclass(frozen=True, eq=False)
class EmbeddingWordJudge(NetworksJudge):
    """Networks over one speech embedding that vote by the mean of their log-probabilities.

    Attributes:
        networks: in evaluation mode, with weights as they are stored.
        frames: of 10 ms that a word may last.
    """

    networks: tuple[WindowNet, ...]

    @classmethod
    def of(
        cls,
        class_names: Sequence[str],
        networks: Sequence[WindowNet],
        frames: int = FRAMES,
        rejection: Rejection | None = None,
    ) -> EmbeddingWordJudge:
        """A judge of trained networks, rounded to what is stored, so that tests see what users get."""
        about: dict[str, Any] = {"format": FORMAT, "words": tuple(class_names), "frames": frames}
        about |= {"hidden": networks[0].hidden, "rejection": asdict(rejection or PLAIN)}
        about["speech_embedding"] = speech_embedding.digest()
        return cls.from_bytes(pack(about, networks))

    def rejecting(self, rejection: Rejection) -> EmbeddingWordJudge:
        """The same networks with another rejection."""
        return self.of(self.class_names, self.networks, self.frames, rejection)

    @classmethod
    def _read(cls, data: bytes, device: str) -> EmbeddingWordJudge:
        return _unpack(data, device)

    def _logits(self, batch: Tensor) -> Tensor:
        return vote(self.networks, self._windows(batch))

    def _embedded(self, batch: Tensor) -> Tensor:
        return self.networks[0].embed(self._windows(batch))

    def _batches(self, clips: Sequence[NDArray[np.float32]], sample_rate_hz: int) -> list[tuple[Tensor, int]]:
        return batches(clips, sample_rate_hz, windows_for(self.frames))

    def _windows(self, batch: Tensor) -> Tensor:
        found: Tensor = speech_embedding.speech_embedding(self.device)(batch)
        return found


def batches(clips: Sequence[NDArray[np.float32]], sample_rate_hz: int, windows: int) -> list[tuple[Tensor, int]]:
    """Batches of one size, each with the number of clips that count: the last is filled with its first clip."""
    found = []
    for start in range(0, len(clips), BATCH):
        part = list(clips[start : start + BATCH])
        with exactly():  # the bands are sums too
            seen = speech_embedding.heard(part, sample_rate_hz, windows)
        found.append((torch.cat([seen, seen[:1].expand(BATCH - len(part), -1, -1)]), len(part)))
    return found


@functools.lru_cache(maxsize=4)
def _unpack(data: bytes, device: str) -> EmbeddingWordJudge:
    require(device)
    about, networks = unpack(data, FORMAT, _untrained)
    if about.get("speech_embedding") != speech_embedding.digest():
        raise PrerequisiteError(
            "the judge was trained on another speech embedding",
            expected=f"sha256 {about.get('speech_embedding')}, found {speech_embedding.digest()}",
            todo="install the version of xmbench that trained it, or fit it again",
        )
    placed = tuple(network.to(device) for network in networks)
    return EmbeddingWordJudge(tuple(about["words"]), data, about["frames"], device, Rejection.of(about), placed)


def _untrained(about: dict[str, Any]) -> WindowNet:
    rejects = Rejection.of(about).outputs
    return WindowNet(len(about["words"]), windows_for(about["frames"]), hidden=about["hidden"], rejects=rejects)
