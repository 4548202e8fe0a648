"""Spoken-word judges whose votes come from both kinds of networks on mel bands: convolutional and recurrent.

They see other features and were trained on other draws, so that their mistakes differ more than those of one kind.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmbench.errors import PrerequisiteError
from xmbench.judges.header import header
from xmbench.judges.stored import batched, pack, require, restore, tensors
from xmbench.judges.words.convolutional import CHANNELS, EMBEDDING, WordNet, batches
from xmbench.judges.words.features import BANDS, FRAMES
from xmbench.judges.words.recurrent import CEPSTRA, HIDDEN, RecurrentNet
from xmbench.judges.words.rejecting import PLAIN, Rejection

FORMAT = "xmbench/voting-word-judge/1"


@dataclass(frozen=True, eq=False)
class VotingWordJudge:
    """Networks of two kinds that vote by the mean of their log-probabilities, each with one vote.

    Attributes:
        class_names: the K words.
        convolutional, recurrent: the networks, in evaluation mode, with weights as they are stored; at least one each.
        data: the safetensors file that they were read from.
        frames: of a clip that the networks get.
        device: where the networks compute.
        rejection: how it rejects.
    """

    class_names: tuple[str, ...]
    convolutional: tuple[WordNet, ...]
    recurrent: tuple[RecurrentNet, ...]
    data: bytes
    frames: int = FRAMES
    device: str = "cpu"
    rejection: Rejection = PLAIN

    @classmethod
    def of(
        cls,
        class_names: Sequence[str],
        convolutional: Sequence[WordNet],
        recurrent: Sequence[RecurrentNet],
        frames: int = FRAMES,
        rejection: Rejection | None = None,
    ) -> VotingWordJudge:
        """A judge of trained networks, rounded to what is stored, so that tests see what users get."""
        about: dict[str, Any] = {"format": FORMAT, "words": tuple(class_names), "frames": frames}
        about |= {"bands": BANDS, "cepstra": CEPSTRA, "convolutional": len(convolutional), "recurrent": len(recurrent)}
        about |= {"channels": convolutional[0].channels, "hidden": recurrent[0].hidden}
        about["rejection"] = asdict(rejection or PLAIN)
        return cls.from_bytes(pack(about, [*convolutional, *recurrent]))

    def probabilities(self, clips: Sequence[NDArray[np.float32]], sample_rate_hz: int) -> NDArray[np.float32]:
        """Probabilities of the words: float32 (N, K + 1), rows sum to 1, the last column is "none of them".

        Args:
            clips: N clips, float32 (T,), any length; only relative levels matter.
            sample_rate_hz: of all of them.
        """
        seen = batches(clips, sample_rate_hz, self.frames)
        return batched(seen, self._vote, len(self.class_names) + 1, self.device)

    def embed(self, clips: Sequence[NDArray[np.float32]], sample_rate_hz: int) -> NDArray[np.float32]:
        """The first recurrent network's embedding, float32 (N, 64), for distances between sets of clips."""
        return batched(batches(clips, sample_rate_hz, self.frames), self.recurrent[0].embed, EMBEDDING, self.device)

    def _vote(self, batch: Tensor) -> Tensor:
        networks = (*self.convolutional, *self.recurrent)
        votes = torch.stack([torch.log_softmax(network(batch), 1) for network in networks]).mean(0)
        return self.rejection.probabilities(votes)

    def rejecting(self, rejection: Rejection) -> VotingWordJudge:
        """The same networks with another rejection."""
        return self.of(self.class_names, self.convolutional, self.recurrent, self.frames, rejection)

    @classmethod
    def from_bytes(cls, data: bytes, device: str = "cpu") -> VotingWordJudge:
        """Reads such a file; the last few stay loaded.

        Raises:
            PrerequisiteError: not weights of this judge, or of another version of it; no such device.
        """
        return _unpack(data, device)


@functools.lru_cache(maxsize=4)
def _unpack(data: bytes, device: str) -> VotingWordJudge:
    require(device)
    stored, about = tensors(data, FORMAT), header(data)
    try:
        words, frames, rejection = tuple(about["words"]), about["frames"], Rejection.of(about)
        convolutional = [
            WordNet(len(words), channels=about.get("channels", CHANNELS), rejects=rejection.outputs)
            for _ in range(about["convolutional"])
        ]
        recurrent = [
            RecurrentNet(len(words), hidden=about.get("hidden", HIDDEN), rejects=rejection.outputs)
            for _ in range(about["recurrent"])
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PrerequisiteError("the judge's weights cannot be read", expected=f"a file of {FORMAT}") from error
    for number, network in enumerate([*convolutional, *recurrent]):
        restore(network, stored, number)
        network.to(device)
    return VotingWordJudge(words, tuple(convolutional), tuple(recurrent), data, frames, device, rejection)
