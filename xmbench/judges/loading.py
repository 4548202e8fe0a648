"""Any judge from its file, behind one surface: media in, probabilities and embeddings out.

A metric that needs a judge does not ask which one it is; a further kind of judge is one more line in `_KINDS`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import PrerequisiteError
from xmbench.interfaces import Modality
from xmbench.judges.stored import header
from xmbench.media.signal import Media, Picture, Sound

if TYPE_CHECKING:
    from xmbench.judges.words.convolutional import SpokenWordJudge
    from xmbench.judges.words.recurrent import RecurrentWordJudge


class Judge(Protocol):
    """A frozen network that says which class of a list an item shows, or none.

    Attributes:
        class_names: the K classes (or words) in its own order.
        modality: what it takes.
    """

    class_names: tuple[str, ...]
    modality: Modality

    def probabilities(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, K + 1), rows sum to 1; the last column is "none"."""
        ...

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Float32 (N, 64), for distances between sets."""
        ...


@functools.lru_cache(maxsize=4)
def load(data: bytes) -> Judge:
    """The judge of a weights file, by the format that its header names.

    Raises:
        PrerequisiteError: no weights of a judge, or of a kind or version that is not known here.
    """
    kind = header(data)["format"]
    if kind not in _KINDS:
        raise PrerequisiteError(
            "the weights belong to an unknown kind of judge",
            where=kind,
            expected=" or ".join(_KINDS),
            todo="install the version of xmbench that made them",
        )
    return _KINDS[kind](data)


class _Listener:
    """A judge of clips at one sample rate."""

    modality: Modality = "audio"

    def __init__(self, judge: Any) -> None:
        self._judge, self.class_names = judge, tuple(judge.class_names)

    def probabilities(self, items: Sequence[Media]) -> NDArray[np.float32]:
        clips, rate = _clips(items)
        found: NDArray[np.float32] = self._judge.probabilities(clips, rate)
        return found

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        clips, rate = _clips(items)
        found: NDArray[np.float32] = self._judge.embed(clips, rate)
        return found


class _Viewer:
    """A judge of images."""

    modality: Modality = "image"

    def __init__(self, judge: Any) -> None:
        self._judge, self.class_names = judge, tuple(judge.class_names)

    def probabilities(self, items: Sequence[Media]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._judge.probabilities(_images(items))
        return found

    def embed(self, items: Sequence[Media]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._judge.embed(_images(items))
        return found


def _clips(items: Sequence[Media]) -> tuple[list[NDArray[np.float32]], int]:
    sounds = [item for item in items if isinstance(item, Sound)]
    rates = {sound.sample_rate_hz for sound in sounds}
    if len(sounds) != len(items) or len(rates) > 1:
        raise TypeError("a judge of sounds needs sounds of one sample rate")
    return [sound.samples for sound in sounds], rates.pop() if rates else 1


def _images(items: Sequence[Media]) -> list[NDArray[np.uint8]]:
    pictures = [item for item in items if isinstance(item, Picture)]
    if len(pictures) != len(items):
        raise TypeError("a judge of images needs images")
    return [picture.pixels for picture in pictures]


def word_judge(data: bytes) -> SpokenWordJudge | RecurrentWordJudge:
    """The spoken-word judge of a weights file as it is: its networks, and clips of one rate in.

    Raises:
        PrerequisiteError: no weights of such a judge.
    """
    from xmbench.judges.words import convolutional, recurrent

    if header(data)["format"] == recurrent.FORMAT:
        return recurrent.RecurrentWordJudge.from_bytes(data)
    return convolutional.SpokenWordJudge.from_bytes(data)


def _spoken_word(data: bytes) -> Judge:
    return _Listener(word_judge(data))


def _digit_image(data: bytes) -> Judge:
    from xmbench.judges.digits.network import DigitImageJudge

    return _Viewer(DigitImageJudge.from_bytes(data))


_KINDS: dict[str, Callable[[bytes], Judge]] = {
    "xmbench/spoken-word-judge/1": _spoken_word,
    "xmbench/recurrent-word-judge/1": _spoken_word,
    "xmbench/digit-image-judge/1": _digit_image,
}
