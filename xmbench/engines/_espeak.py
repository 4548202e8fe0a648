"""eSpeak NG through ctypes, synchronous and bit-exact: the same call gives the same samples everywhere.

The library keeps state from one utterance to the next (flutter), which `espeak_Terminate` alone does not
clear. So it is reloaded for every utterance, and its random numbers are seeded: 4 ms a word.
"""

from __future__ import annotations

import _ctypes
import atexit
import ctypes
import difflib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import PrerequisiteError, UnknownNameError, XmbenchError

SAMPLE_RATE_HZ = 22050
RATES_WPM = (80, 450)
PITCHES = (0, 100)
# Their breath noise is seeded by the clock inside the library: never the same twice.
NOT_REPEATABLE = frozenset({"Alicia", "Demonic", "f2", "f3", "f5", "sandro", "victor", "whisper", "whisperf"})

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000  # otherwise a missing data directory ends the process
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_CHARS_UTF8 = 1
_LONGEST_DATA_PATH = 150  # the library fails from 160 characters on
_LOCK = threading.Lock()


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def speak(word: str, voice: str, rate: int, pitch: int) -> NDArray[np.int16]:
    """Speaks one word.

    Args:
        word: what to say.
        voice: a voice (`en-us`) or a voice with a variant (`en-us+f1`), checked by `check_voices` before.
        rate: words per minute, 80..450.
        pitch: 0..100; 50 is the voice's own.

    Returns:
        Samples int16 (T,) at 22,050 Hz, untrimmed; the same on every call and in every process.

    Raises:
        UnknownNameError: no such voice.
        PrerequisiteError: the library or its data is missing.
    """
    parts: list[bytes] = []

    def keep(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            parts.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _CALLBACK(keep)
    text = word.encode() + b"\0"
    with _LOCK, _library() as library:
        library.espeak_SetSynthCallback(callback)
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UnknownNameError(f"eSpeak NG has no voice '{voice}'")
        for parameter, value in ((_RATE, rate), (_VOLUME, 100), (_PITCH, pitch), (_RANGE, 50)):
            library.espeak_SetParameter(parameter, value, 0)
        _seed()
        status = library.espeak_Synth(text, len(text), 0, 1, 0, _CHARS_UTF8, None, None)
    if status != 0:
        raise XmbenchError(f"eSpeak NG could not speak '{word}' with '{voice}' (status {status})")
    return np.frombuffer(b"".join(parts), dtype=np.int16)


def version() -> str:
    """Version of the library, like `1.52.0`."""
    return _catalogue()[0]


def bases() -> frozenset[str]:
    """Names of the voices, without variants, lower case."""
    return _catalogue()[1]


def variants() -> frozenset[str]:
    """Names of the variants of voices."""
    return _catalogue()[2]


def check_voices(voices: tuple[str, ...]) -> None:
    """Checks names of voices: the library itself accepts any variant silently.

    Raises:
        UnknownNameError: an unknown voice or variant (with the nearest name), or one that is not repeatable;
            all of them are listed.
    """
    _, bases, variants = _catalogue()
    problems = []
    for voice in voices:
        base, plus, variant = voice.partition("+")
        if base not in bases:
            problems.append(f"'{voice}': no voice '{base}'; {_closest(base, bases)}")
        elif plus and variant in NOT_REPEATABLE:
            problems.append(f"'{voice}': the variant '{variant}' sounds different each time")
        elif plus and variant not in variants:
            problems.append(f"'{voice}': no variant '{variant}'; {_closest(variant, variants)}")
    if problems:
        raise UnknownNameError(
            "voices that cannot be used",
            where=f"eSpeak NG {version()}",
            problems=problems,
            expected="VOICE or VOICE+VARIANT, like en-us or en-us+f1",
        )


def _closest(name: str, known: frozenset[str]) -> str:
    """The nearest name, however far: the full list has 140 names."""
    return f"the nearest is '{difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)[0]}'"


@lru_cache(maxsize=1)
def _catalogue() -> tuple[str, frozenset[str], frozenset[str]]:
    """The library's version, the names of its voices, the names of its variants."""
    with _LOCK, _library() as library:
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        found_version = library.espeak_Info(None).decode()
        bases = {path.rpartition("/")[2].lower() for path in _listed(library, None)}
        wanted = ctypes.byref(_Voice(languages=b"variant"))
        variants = {path.rpartition("/")[2] for path in _listed(library, wanted)}
    return found_version, frozenset(bases), frozenset(variants)


def _listed(library: ctypes.CDLL, wanted: Any) -> list[str]:
    voices = library.espeak_ListVoices(wanted)
    found: list[str] = []
    while voices[len(found)]:
        found.append(voices[len(found)].contents.identifier.decode())
    return found


@contextmanager
def _library() -> Iterator[ctypes.CDLL]:
    """The library, freshly loaded and initialised; unloaded at the end."""
    wheel = loader()
    try:
        library = ctypes.CDLL(wheel.get_library_path())
    except OSError as error:
        raise PrerequisiteError(
            f"the speech library cannot be loaded ({error})", todo="pip install --force-reinstall espeakng-loader"
        ) from error
    try:
        rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data_path().encode(), _DONT_EXIT)
        if rate != SAMPLE_RATE_HZ:
            raise PrerequisiteError(
                f"the speech library did not start (it answered {rate})",
                where=data_path(),
                expected=f"{SAMPLE_RATE_HZ}, its sample rate",
                todo="pip install --force-reinstall espeakng-loader",
            )
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        yield library
        library.espeak_Terminate()
    finally:
        _unload(library)


def _unload(library: ctypes.CDLL) -> None:
    close = getattr(_ctypes, "dlclose", None) or _ctypes.FreeLibrary  # type: ignore[attr-defined]
    close(library._handle)


def _seed() -> None:
    """Seeds the C library's random numbers, which the noise of the voices depends on."""
    runtime = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    runtime.srand(1)


def loader() -> Any:
    try:
        import espeakng_loader
    except ImportError as error:
        raise PrerequisiteError("the speech engine is not installed", todo="pip install espeakng-loader") from error
    return espeakng_loader


@lru_cache(maxsize=1)
def data_path() -> str:
    """The directory of the voices, as a path that is short enough for the library."""
    path = str(loader().get_data_path())
    return path if len(os.fsencode(path)) <= _LONGEST_DATA_PATH else _short_path(path)


def _short_path(path: str) -> str:
    folder = Path(tempfile.mkdtemp(prefix="xmb-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    link = folder / "espeak-ng-data"
    try:
        link.symlink_to(path, target_is_directory=True)
    except OSError:  # no right to make links (Windows)
        shutil.copytree(path, link)
    return str(link)
