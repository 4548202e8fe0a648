"""eSpeak NG from the `espeakng-loader` wheel: no system package, the same samples everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.engines import _espeak
from xmbench.interfaces import EngineFacts

# Bit-exact variants, the plainest first.
_VARIANTS = ("", "+m1", "+m3", "+m4", "+f1", "+f4", "+m2", "+m7")
_PLAIN = {"en": "en-us", "fr": "fr-fr"}  # languages whose plain name is not a voice, or not the usual one


class EspeakNg:
    """eSpeak NG: more than a hundred languages, offline, 4 ms a word."""

    facts = EngineFacts(
        "espeak-ng",
        _espeak.SAMPLE_RATE_HZ,
        rates=_espeak.RATES_WPM,
        pitches=_espeak.PITCHES,
        seconds_per_word=0.006,
        licence="CC0-1.0",
        redistributable=True,
        homepage="https://github.com/espeak-ng/espeak-ng",
    )
    version = staticmethod(_espeak.version)
    check_voices = staticmethod(_espeak.check_voices)

    def voices(self, language: str) -> tuple[str, ...]:
        """The language's own voice and its plain variants; none where the library lacks the language."""
        base = _PLAIN.get(language.lower(), language.lower())
        return tuple(f"{base}{variant}" for variant in _VARIANTS) if base in _espeak.bases() else ()

    def speak(self, word: str, voice: str, rate: int, pitch: int) -> NDArray[np.int16]:
        """Samples int16 (T,) at 22,050 Hz."""
        return _espeak.speak(word, voice, rate, pitch)


ENGINE = EspeakNg()
