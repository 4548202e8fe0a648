"""Pacing of a speech service: a pause between requests, a limit on their number, and none after a refusal.

The pace changes no sound, so it is not part of a recipe: two environment variables set it.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import Engine, EngineFacts, Rejected
from xmbench.storage.variables import number_of

PAUSE_VARIABLE = "XMBENCH_SPEECH_PAUSE_S"
REQUESTS_VARIABLE = "XMBENCH_SPEECH_REQUESTS"
_DEFAULT_PAUSE_S = 1.0
_DEFAULT_REQUESTS = 500


def pause_s() -> float:
    """Seconds between two requests; raises DocumentError for an invalid value."""
    return number_of(PAUSE_VARIABLE, _DEFAULT_PAUSE_S)


def most_requests() -> int:
    """Requests allowed in one build; raises DocumentError for an invalid value."""
    return int(number_of(REQUESTS_VARIABLE, _DEFAULT_REQUESTS))


class Paced:
    """An engine during one build. An offline engine is called directly."""

    def __init__(self, engine: Engine) -> None:
        self.facts: EngineFacts = engine.facts
        self._engine = engine
        self._requests = 0
        self._next_s = 0.0
        self._refusal: Rejected | None = None

    def speak(self, word: str, voice: str, rate: int, pitch: int) -> NDArray[np.int16] | Rejected:
        """As the engine does; an online one is not called again after its first temporary failure."""
        if not self.facts.online:
            return self._engine.speak(word, voice, rate, pitch)
        if self._refusal is not None:
            why = f"'{word}' by {voice}: not requested after this failure: {self._refusal.detail}"
            return Rejected("speech", self._refusal.reason, why, temporary=True)
        if self._requests >= most_requests():
            why = f"'{word}' by {voice}: {self._requests} requests were made, the limit of {REQUESTS_VARIABLE}"
            return Rejected("speech", "request-limit", why, temporary=True)
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        self._requests += 1
        spoken = self._engine.speak(word, voice, rate, pitch)
        self._next_s = time.monotonic() + pause_s()
        if isinstance(spoken, Rejected) and spoken.temporary:
            self._refusal = spoken
        return spoken
