"""Spoken-word judges whose votes come from both kinds of networks on mel bands: convolutional and recurrent.

They see other features and were trained on other draws, so that their mistakes differ more than those of one kind.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from xmbench.errors import PrerequisiteError
from xmbench.judges.header import header
from xmbench.judges.rejecting import PLAIN, Rejection
from xmbench.judges.stored import pack, require, restore, tensors
from xmbench.judges.words.convolutional import CHANNELS, WordNet
from xmbench.judges.words.features import BANDS, FRAMES
from xmbench.judges.words.judging import NetworksJudge, vote
from xmbench.judges.words.recurrent import CEPSTRA, HIDDEN, RecurrentNet

FORMAT = "xmbench/voting-word-judge/1"


@dataclass(frozen=True, eq=False)
class VotingWordJudge(NetworksJudge):
    """Networks of two kinds that vote by the mean of their log-probabilities, each with one vote.

    Attributes:
        convolutional, recurrent: the networks, in evaluation mode, with weights as they are stored; at least one each.
    """

    convolutional: tuple[WordNet, ...]
    recurrent: tuple[RecurrentNet, ...]

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

    def rejecting(self, rejection: Rejection) -> VotingWordJudge:
        """The same networks with another rejection."""
        return self.of(self.class_names, self.convolutional, self.recurrent, self.frames, rejection)

    @classmethod
    def _read(cls, data: bytes, device: str) -> VotingWordJudge:
        return _unpack(data, device)

    def _logits(self, batch: Tensor) -> Tensor:
        return vote((*self.convolutional, *self.recurrent), batch)

    def _embedded(self, batch: Tensor) -> Tensor:
        return self.recurrent[0].embed(batch)


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
    return VotingWordJudge(words, data, frames, device, rejection, tuple(convolutional), tuple(recurrent))
