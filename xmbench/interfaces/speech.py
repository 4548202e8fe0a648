"""Speech: how a run speaks the words of its data set for a model that writes text and has it read aloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of a speech engine and its settings.

    Attributes:
        engine: public name of the engine.
        name: of the voice, as the engine knows it.
        rate: words per minute; without effect where the engine speaks at its own rate.
        pitch: 0..100; without effect where the engine has no such setting.
    """

    engine: str
    name: str
    rate: int
    pitch: int


@dataclass(frozen=True, slots=True)
class SpokenWords:
    """The K words of a task, spoken.

    Attributes:
        clips: K clips, int16 (T',) at the rate of the data set, trimmed of silence, each of its own length.
        description: engine, version, voice and settings, for people.
    """

    clips: tuple[NDArray[np.int16], ...]
    description: str


class Speech(Protocol):
    """Speaks the words of a data set. It knows the recipe and hears none of its recordings."""

    def speak(self, voice: Voice | None = None) -> SpokenWords:
        """The words of the task, by one voice.

        Args:
            voice: who speaks; None for the first voice and settings of the recipe that speak training clips, made
                as those were made. The same call gives the same samples.

        Raises:
            DatasetError: the data set has no words, or None was given and no engine spoke its clips.
            PrerequisiteError: the engine is missing, calls a service, or never says a word twice in the same way.
            UnknownNameError: no such engine or voice.
        """
        ...
