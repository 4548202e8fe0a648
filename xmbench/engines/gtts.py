"""gTTS: the voices of Google Translate, one request per word. Needs the network; no key.

A voice is a language, or a language and the site whose accent is wanted: `en`, `en@co.uk`, `de`. The service
may change its voices at any time and states no version: every row has the date of the request instead.
The rate is the service's own. It sends mp3 at 24 kHz.
"""

from __future__ import annotations

import base64
import queue
import re
import threading
import time
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import MediaError, PrerequisiteError, UnknownNameError, nearest
from xmbench.interfaces import EngineFacts, Rejected
from xmbench.media import audio
from xmbench.printable import shown

TIMEOUT_S = 20.0  # for a connection, and between two parts of an answer
ANSWER_S = 60.0  # for a complete answer
LARGEST_ANSWER = 1 << 22  # bytes; a word has about ten thousand
_LARGEST_SOUND = 1 << 25  # bytes, decoded: a few minutes
_CALL = "jQ1olc"  # the service's name for speech
_SOUND = re.compile(r'jQ1olc","\[\\"(.*)\\"]')
_SITE = re.compile(r"^[a-z]{2,3}(\.[a-z]{2})?$")
_TOO_MANY_REQUESTS = 429
# Sites whose accents differ, as listed in the package's documentation.
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
        """The language at each site with its own accent."""
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
                problems.append(f"'{voice}': '{site}' is not a site")
        if problems:
            raise UnknownNameError(
                "voices that cannot be used",
                where=f"gTTS {self.version()}",
                problems=problems,
                expected="LANGUAGE or LANGUAGE@SITE, like en or en@co.uk",
            )

    def speak(self, word: str, voice: str, rate: int, pitch: int) -> NDArray[np.int16] | Rejected:
        """One request: samples int16 (T,) at 24 kHz, or why there are none."""
        package = _package()
        language, _, site = voice.partition("@")
        name = f"'{word}' by {voice}"
        spoken = package.gTTS(word, lang=language, tld=site or "com", lang_check=False, timeout=TIMEOUT_S)
        # The package's own request reads an answer of any length, for any time.
        parts = []
        for prepared in spoken._prepare_requests():
            part = _asked(prepared, name)
            if isinstance(part, Rejected):
                return part
            parts.append(part)
        try:
            samples, rate_hz = audio.decode(b"".join(parts), _LARGEST_SOUND)
        except MediaError as error:
            return Rejected("speech", "unreadable", f"{name}: {error.what}", temporary=True)
        mono = samples.mean(axis=1, dtype=np.float32)
        return audio.to_int16(audio.resample(mono, rate_hz, self.facts.sample_rate_hz))


def _asked(prepared: Any, name: str) -> bytes | Rejected:
    """The sound of one request, within `ANSWER_S`: the time limit of a socket restarts with every byte."""
    done: queue.SimpleQueue[bytes | Rejected | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            done.put(_answered(prepared, name))
        except Exception as error:  # raised again by the waiting thread
            done.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = done.get(timeout=ANSWER_S)
    except queue.Empty:
        return Rejected("speech", "offline", f"{name}: no complete answer within {ANSWER_S:.0f} s", temporary=True)
    if isinstance(answer, Exception):
        raise answer
    return answer


def _answered(prepared: Any, name: str) -> bytes | Rejected:
    """Sends one request and reads its answer."""
    import requests

    prepared.headers["Accept-Encoding"] = "identity"
    try:
        with requests.Session() as session:
            chosen = session.merge_environment_settings(prepared.url, {}, True, None, None)
            with session.send(prepared, timeout=TIMEOUT_S, allow_redirects=False, **chosen) as answer:
                if answer.status_code != 200:
                    return _refused(answer, name)
                data, until = b"", time.monotonic() + ANSWER_S
                for part in answer.iter_content(1 << 14):
                    data += part
                    if len(data) > LARGEST_ANSWER or time.monotonic() > until:
                        told = f"{name}: the answer has more than {len(data):,} bytes"
                        return Rejected("speech", "unreadable", told, temporary=True)
    except requests.exceptions.RequestException:
        return Rejected("speech", "offline", f"{name}: Google Translate cannot be reached", temporary=True)
    return _sound(data, name)


def _sound(data: bytes, name: str) -> bytes | Rejected:
    """The mp3 file in an answer."""
    for line in data.decode("utf-8", "replace").splitlines():
        if _CALL not in line:
            continue
        found = _SOUND.search(line)
        if found is None:
            detail = f"{name}: the service answered 200 without sound: does it speak this language?"
            return Rejected("speech", "no-audio", detail)
        try:
            return base64.b64decode(found[1].encode("ascii"))
        except ValueError:  # not base64
            break
    return Rejected("speech", "unreadable", f"{name}: the answer is not of the expected form", temporary=True)


def _refused(answer: Any, name: str) -> Rejected:
    """The rejection for a status other than 200."""
    if answer.status_code == _TOO_MANY_REQUESTS:
        wait = answer.headers.get("Retry-After", "")
        asked = f"; it asks to wait {wait} s" if wait.isdigit() and len(wait) < 7 else ""
        return Rejected("speech", "rate-limited", f"{name}: too many requests (429){asked}", temporary=True)
    detail = f"{name}: the service answered {answer.status_code} {shown(str(answer.reason or ''))}"
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
