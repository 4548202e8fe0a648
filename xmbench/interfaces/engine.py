"""Engine: a speech synthesiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces.source import Rejected


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """Properties of a speech engine. The defaults fit a small offline engine without settings.

    Attributes:
        name: public name, kebab-case, as recipes write it.
        sample_rate_hz: of what it returns.
        rates: slowest and fastest rate, words per minute; None where the rate cannot be set.
        pitches: lowest and highest pitch within 0..100; None where the pitch cannot be set.
        online: calls a service for each word; such calls are paced, counted and never made with `--offline`.
        repeatable: the same call gives the same samples, everywhere and always.
        seconds_per_word: how long one word takes, measured.
        licence: of its speech, as an SPDX name; empty where unknown.
        redistributable: whether its speech may be redistributed.
        homepage: of its project.
    """

    name: str
    sample_rate_hz: int
    rates: tuple[int, int] | None = None
    pitches: tuple[int, int] | None = None
    online: bool = False
    repeatable: bool = True
    seconds_per_word: float = 0.01
    licence: str = ""
    redistributable: bool = False
    homepage: str = ""


class Engine(Protocol):
    """A speech synthesiser. The caller trims, adjusts the rate, caches and paces."""

    facts: EngineFacts

    def version(self) -> str:
        """Version of everything that shapes the sound.

        Raises:
            PrerequisiteError: a program or package is missing.
        """
        ...

    def voices(self, language: str) -> tuple[str, ...]:
        """Voices of a language ("en", "de"), the best first; for `--speech`, which names none."""
        ...

    def check_voices(self, voices: tuple[str, ...]) -> None:
        """Raises UnknownNameError with every voice that cannot be used."""
        ...

    def speak(self, word: str, voice: str, rate: int, pitch: int) -> NDArray[np.int16] | Rejected:
        """Speaks one word.

        Args:
            word: what to say.
            voice: one that `check_voices` accepts.
            rate: words per minute within `rates`; 0 where it cannot be set.
            pitch: within `pitches`; 0 where it cannot be set.

        Returns:
            Samples int16 (T,), untrimmed, empty where there was no sound; or why there are none, `temporary` where
            a later try may succeed.
        """
        ...


@runtime_checkable
class Spoken(Protocol):
    """What a source has in addition to `read` when an engine speaks its clips."""

    def engine(self, options: Any) -> Engine:
        """The engine of these options; raises UnknownNameError."""
        ...

    def pause_s(self) -> float:
        """Seconds between two requests to an online engine."""
        ...

    def with_engine(self, options: Mapping[str, Any], name: str, languages: Sequence[str]) -> dict[str, Any]:
        """The recipe's options for another engine; raises UnknownNameError."""
        ...
