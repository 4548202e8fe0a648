"""A published recogniser (wav2vec 2.0 with a CTC output) as a judge of single words.

The score of a word is the log-probability that the network gives its letters, with or without word boundaries around
them. It is compared with what the network hears when it is free to hear anything: "none" is named if that text is none
of the words and its log-probability is above the best word's by more than a margin. So other words are rejected, and a
slip in one letter is not.

A clip is heard alone, at 16 kHz and one level: neither the other clips nor a gain change what is heard.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, nn

from xmbench.errors import PrerequisiteError
from xmbench.judges.asr.ctc import Letters, freely_decoded, log_of_any
from xmbench.judges.header import header
from xmbench.judges.stored import exactly, require
from xmbench.media.audio import resample

FORMAT = "xmbench/recogniser-judge/1"
RATE_HZ = 16_000
BOUNDARY = "|"
SHORTEST = 800  # samples: below it the network has no frame


def packed(network: nn.Module, about: dict[str, Any]) -> bytes:
    """A safetensors file of a network with what is needed to use it.

    Args:
        network: of `torchaudio.models.wav2vec2_model(**about["network"])`; float32 weights are kept as they are.
        about: "classes" (the words, in order), "letters" (of the outputs, the blank first), "network" (arguments of
            the factory), "margin" (of free decoding, natural logarithm), "level" (root mean square of what it hears).
    """
    text = json.dumps({"format": FORMAT, **about})
    return bytes(save({name: value.contiguous() for name, value in network.state_dict().items()}, {"judge": text}))


def spelled(word: str, letters: Sequence[str]) -> Letters:
    """A word, or several, as letters of the network.

    Raises:
        PrerequisiteError: the network has no such letter.
    """
    written = BOUNDARY.join(word.upper().replace("_", " ").replace("-", " ").split())
    unknown = sorted(set(written) - set(letters))
    if unknown or not written:
        raise PrerequisiteError(
            f"the recogniser cannot spell {word!r}", where=" ".join(unknown), expected="words in its letters"
        )
    return tuple(list(letters).index(letter) for letter in written)


class RecogniserJudge:
    """The network with its words."""

    def __init__(self, network: nn.Module, about: dict[str, Any], device: str = "cpu") -> None:
        self._network, self._device = network.to(device).eval(), device
        self.class_names = tuple(about["classes"])
        self.margin, self.level = float(about["margin"]), float(about["level"])
        self.embedding_size = int(about["network"]["encoder_embed_dim"])
        letters = tuple(about["letters"])
        self._boundary = letters.index(BOUNDARY)
        self._words = [spelled(word, letters) for word in self.class_names]

    @classmethod
    def from_bytes(cls, data: bytes, device: str = "cpu") -> RecogniserJudge:
        """Reads `packed` weights.

        Raises:
            PrerequisiteError: damaged, of another format, or no such device; torchaudio cannot be imported.
        """
        about = header(data)
        if about["format"] != FORMAT:
            raise PrerequisiteError("the weights are of another judge", where=about["format"], expected=FORMAT)
        require(device)
        try:
            from torchaudio.models import wav2vec2_model
        except (ImportError, OSError, RuntimeError) as error:  # what its builds raise beside another build of torch
            raise PrerequisiteError("this judge needs torchaudio", where=error, todo="xmbench doctor") from error
        try:
            network = wav2vec2_model(**about["network"])
            network.load_state_dict(load(data))
            return cls(network, about, device)
        except PrerequisiteError:
            raise
        except Exception as error:  # any damage to the file
            raise PrerequisiteError("the judge's weights cannot be read", expected=f"a file of {FORMAT}") from error

    def probabilities(self, clips: Sequence[NDArray[np.float32]], rate_hz: int) -> NDArray[np.float32]:
        """Float32 (N, K + 1), rows sum to 1; the last column is "none"."""
        rows = [self._row(self.emissions(clip, rate_hz)) for clip in clips]
        return np.stack(rows) if rows else np.empty((0, len(self._words) + 1), np.float32)

    def embed(self, clips: Sequence[NDArray[np.float32]], rate_hz: int) -> NDArray[np.float32]:
        """Float32 (N, D): the last layer's mean over time."""
        found = []
        for clip in clips:
            with exactly(self._device):
                layers, _ = self._network.extract_features(self._heard(clip, rate_hz))  # type: ignore[operator]
            found.append(layers[-1][0].mean(0).cpu().numpy())
        return np.stack(found) if found else np.empty((0, self.embedding_size), np.float32)

    def emissions(self, clip: NDArray[np.float32], rate_hz: int) -> Tensor:
        """Log-probabilities of the letters, (frames, letters)."""
        with exactly(self._device):
            found, _ = self._network(self._heard(clip, rate_hz))
            return torch.log_softmax(found[0].double(), dim=-1).cpu()

    def _row(self, emissions: Tensor) -> NDArray[np.float32]:
        scores = [log_of_any(emissions, self._readings(word)) for word in self._words]
        free = self._inner(freely_decoded(emissions))
        other = -math.inf if free in self._words else log_of_any(emissions, self._readings(free)) - self.margin
        return torch.softmax(torch.tensor([*scores, other], dtype=torch.float64), 0).float().numpy()

    def _readings(self, text: Letters) -> list[Letters]:
        """The text with and without a word boundary on either side."""
        edge = (self._boundary,)
        return [text, (*text, *edge), (*edge, *text), (*edge, *text, *edge)] if text else [text, edge]

    def _inner(self, text: Letters) -> Letters:
        """The text without word boundaries on either side."""
        while text and text[0] == self._boundary:
            text = text[1:]
        while text and text[-1] == self._boundary:
            text = text[:-1]
        return text

    def _heard(self, clip: NDArray[np.float32], rate_hz: int) -> Tensor:
        """The clip at 16 kHz and one level, (1, T)."""
        sound = torch.from_numpy(np.ascontiguousarray(resample(clip, rate_hz, RATE_HZ)))
        sound = nn.functional.pad(sound, (0, max(0, SHORTEST - len(sound))))
        level = sound.double().square().mean().sqrt().float()
        return (sound * (self.level / level if level > 0 else 1.0))[None].to(self._device)
