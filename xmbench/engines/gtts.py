"""gTTS: the voices of Google Translate, one request per word. Needs the network; no key.

A voice is a language, or a language and the site whose accent is wanted: `en`, `en@co.uk`, `de`. The service
may change its voices at any time and says no version: the day of the request stands in every row instead.
The rate is the service's own. What it sends is mp3 at 24 kHz.
"""

from __future__ import annotations

import io
import re
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import MediaError, PrerequisiteError, UnknownNameError, nearest
from xmbench.interfaces import EngineFacts, Rejected
from xmbench.media import audio

TIMEOUT_S = 20.0
_SITE = re.compile(r"^[a-z]{2,3}(\.[a-z]{2})?$")
_TOO_MANY_REQUESTS = 429
# Sites whose accents differ, as the package's documentation lists them.
_SITES = {
    "en": ("com", "co.uk", "com.au", "co.in", "ca", "ie", "co.za", "com.ng"),
    "fr": ("fr", "ca"),
    "pt": ("com.br", "pt"),
    "es": ("es", "com.mx", "us"),
}


class Gtts:
    """The speech of Google Translate."""

    facts = EngineFacts(
        "gtts", 24000, online=True, repeatable=False, seconds_per_word=0.5, homepage="https://github.com/pndurette/gTTS"
    )

    def version(self) -> str:
        """Version of the package; the service has none."""
        try:
            return installed("gTTS")
        except PackageNotFoundError as error:
            raise _missing() from error

    def voices(self, language: str) -> tuple[str, ...]:
        """The language by each site that has an accent of its own."""
        if language not in _languages():
            return ()
        return tuple(f"{language}@{site}" for site in _SITES.get(language, ("com",)))

    def check_voices(self, voices: tuple[str, ...]) -> None:
        """Raises UnknownNameError with every language that the package does not list."""
        known, problems = _languages(), []
        for voice in voices:
            language, at, site = voice.partition("@")
            if language not in known:
                problems.append(f"'{voice}': no language '{language}'; {nearest(language, known)}")
            elif at and not _SITE.match(site):
                problems.append(f"'{voice}': '{site}' is no site")
        if problems:
            raise UnknownNameError(
                "voices that cannot be used",
                where=f"gTTS {self.version()}",
                problems=problems,
                expected="LANGUAGE or LANGUAGE@SITE, like en or en@co.uk",
            )

    def speak(self, word: str, voice: str, rate: int, pitch: int) -> NDArray[np.int16] | Rejected:
        """One request: samples int16 (T,) at 24 kHz, or why the service gave none."""
        package = _package()
        language, _, site = voice.partition("@")
        stream = io.BytesIO()
        try:
            spoken = package.gTTS(word, lang=language, tld=site or "com", lang_check=False, timeout=TIMEOUT_S)
            spoken.write_to_fp(stream)
        except package.gTTSError as error:
            return _refused(error, word, voice)
        try:
            samples, rate_hz = audio.decode(stream.getvalue())
        except MediaError as error:
            return Rejected("speech", "unreadable", f"'{word}' by {voice}: {error.what}", temporary=True)
        mono = samples.mean(axis=1, dtype=np.float32)
        return audio.to_int16(audio.resample(mono, rate_hz, self.facts.sample_rate_hz))


def _refused(error: Any, word: str, voice: str) -> Rejected:
    """What the service's answer means. No answer at all is a matter of the network."""
    answer = error.rsp
    name = f"'{word}' by {voice}"
    if answer is None:
        return Rejected("speech", "offline", f"{name}: Google Translate cannot be reached", temporary=True)
    if answer.status_code == _TOO_MANY_REQUESTS:
        wait = answer.headers.get("Retry-After", "")
        asked = f"; it asks to wait {wait} s" if wait.isdigit() else ""
        return Rejected("speech", "rate-limited", f"{name}: too many requests (429){asked}", temporary=True)
    detail = f"{name}: the service answered {answer.status_code} {answer.reason}"
    if answer.status_code == 200:
        return Rejected("speech", "no-audio", f"{detail} without sound: is '{voice}' a language that it speaks?")
    return Rejected("speech", "service-error", detail, temporary=answer.status_code >= 500)


def _languages() -> set[str]:
    _package()
    from gtts.lang import tts_langs

    return set(tts_langs())


def _package() -> Any:
    try:
        import gtts
    except ImportError as error:
        raise _missing() from error
    return gtts


def _missing() -> PrerequisiteError:
    return PrerequisiteError("the package gTTS is not installed", todo="pip install 'gTTS>=2.5'")


ENGINE = Gtts()
