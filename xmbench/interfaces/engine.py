"""Engine: something that speaks words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces.source import Rejected


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What a speech engine is. Defaults are what a small offline engine without settings needs.

    Attributes:
        name: public name, kebab-case, as recipes write it.
        sample_rate_hz: of what it returns.
        rates: slowest and fastest rate it takes, words per minute; None where it speaks at its own.
        pitches: lowest and highest pitch it takes within 0..100; None where it has no such setting.
        online: asks a service for each word; such calls are paced, counted and never made with `--offline`.
        repeatable: the same call gives the same samples, everywhere and always.
        seconds_per_word: how long one word takes, measured.
        licence: of what it speaks, as an SPDX name; empty where nobody says.
        redistributable: whether what it speaks may be passed on.
        homepage: where it comes from.
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
    """Something that speaks words. Whoever calls it trims, re-rates, caches and paces."""

    facts: EngineFacts

    def version(self) -> str:
        """Version of whatever shapes the sound.

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
            voice: one that `check_voices` lets pass.
            rate: words per minute within `rates`; 0 where the engine takes none.
            pitch: within `pitches`; 0 where the engine takes none.

        Returns:
            Samples int16 (T,), untrimmed, empty where nothing came; or why there are none, `temporary` where
            a later try may succeed.
        """
        ...


@runtime_checkable
class Spoken(Protocol):
    """What a source offers beside `read` when an engine speaks its clips."""

    def engine(self, options: Any) -> Engine:
        """The engine that these options name; raises UnknownNameError."""
        ...

    def pause_s(self) -> float:
        """Seconds between two requests to an online engine."""
        ...

    def with_engine(self, options: Mapping[str, Any], name: str, languages: Sequence[str]) -> dict[str, Any]:
        """The recipe's options for another engine; raises UnknownNameError."""
        ...
