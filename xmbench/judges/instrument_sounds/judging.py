"""A judge of instrument sounds from its weights: 8-bit integers, computed in float32 in batches of one size."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmbench.interfaces import Modality
from xmbench.judges import stored
from xmbench.judges.instrument_sounds.features import features, heard
from xmbench.judges.instrument_sounds.networks import EMBEDDING, NETWORKS, TimbreNet, ToneNet
from xmbench.judges.rejecting import Rejection
from xmbench.media.signal import Media, Sound

FORMAT = "xmbench/instrument-sound-judge/1"
BATCH = 64
PLAIN = Rejection(outputs=1)


@dataclass(eq=False)
class InstrumentSoundJudge:
    """A judge of sounds (`xmbench.interfaces.Judge`).

    Attributes:
        class_names: the K instruments.
        front_end: what its network hears.
        network: in evaluation mode, with weights as they are stored.
        rejection: how it rejects.
        data: the safetensors file.
        device: where the network computes.
    """

    class_names: tuple[str, ...]
    front_end: str
    network: TimbreNet | ToneNet
    rejection: Rejection
    data: bytes
    device: str = "cpu"
    modality: Modality = "audio"
    embedding_size: int = EMBEDDING

    @classmethod
    def of(
        cls, class_names: Sequence[str], front_end: str, network: TimbreNet | ToneNet, rejection: Rejection = PLAIN
    ) -> InstrumentSoundJudge:
        """A judge of a trained network, rounded to what is stored, so that tests see what users get."""
        about = {"format": FORMAT, "classes": list(class_names), "front_end": front_end}
        return cls.from_bytes(stored.pack(about | {"rejection": asdict(rejection)}, [network]))

    def rejecting(self, rejection: Rejection) -> InstrumentSoundJudge:
        """The same network with another rejection."""
        return self.of(self.class_names, self.front_end, self.network, rejection)

    @classmethod
    def from_bytes(cls, data: bytes, device: str = "cpu") -> InstrumentSoundJudge:
        """Reads such a file; the last few stay loaded.

        Raises:
            PrerequisiteError: not weights of such a judge, or of another version of it; no such device.
        """
        return _unpack(data, device)

    def probabilities(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, K + 1), rows sum to 1; the last column is "none". Sounds of any length and rate."""
        width = len(self.class_names) + 1

        def named(batch: Tensor) -> Tensor:
            return self.rejection.probabilities(self.network(batch))

        return stored.batched(self._batches(items), named, width, self.device)

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, 64), for distances between sets of sounds."""
        return stored.batched(self._batches(items), self.network.embed, EMBEDDING, self.device)

    def _batches(self, items: Sequence[Media]) -> Iterator[tuple[Tensor, int]]:
        """Batches of one size, each with the number of sounds that count: the last is filled with its first sound."""
        sounds = [item for item in items if isinstance(item, Sound)]
        if len(sounds) != len(items):
            raise TypeError("a judge of sounds needs sounds")
        for start in range(0, len(sounds), BATCH):
            part = sounds[start : start + BATCH]
            waves = torch.from_numpy(heard(part))
            filled = torch.cat([waves, waves[:1].expand(BATCH - len(part), -1)])
            with stored.exactly():  # the bands are sums too
                seen = features(filled, self.front_end)
            yield seen, len(part)


@functools.lru_cache(maxsize=4)
def _unpack(data: bytes, device: str) -> InstrumentSoundJudge:
    stored.require(device)
    about, (network,) = stored.unpack(
        data, FORMAT, lambda about: NETWORKS[about["front_end"]](len(tuple(about["classes"])))
    )
    return InstrumentSoundJudge(
        tuple(map(str, about["classes"])), about["front_end"], network.to(device), Rejection.of(about), data, device
    )
