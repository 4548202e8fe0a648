"""Speech: really spoken, the same everywhere, inside the recipe's range."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from tests.upstreams import Memory
from xmbench import registry
from xmbench.engines import _espeak
from xmbench.errors import DocumentError, UnknownNameError
from xmbench.interfaces import AudioFormat, EngineFacts, ImageFormat, RawClip, Rejected, Task
from xmbench.media import audio
from xmbench.sources.speech import SOURCE, SpeechOptions

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
FORMAT = AudioFormat(22050, 18140, 0.322, 0.823)


def task(wanted: AudioFormat = FORMAT, words: tuple[str, ...] = WORDS) -> Task:
    return Task(words, words, ImageFormat(28, 28, 1), wanted)


def spoken(options: SpeechOptions, wanted: Task) -> dict[str, RawClip | Rejected]:
    entries = SOURCE.entries(Memory(), options, wanted)
    values = SOURCE.read(Memory(), options, wanted, entries)
    return {entry.key: raw for entry, raw in zip(entries, values, strict=True) if isinstance(raw, RawClip | Rejected)}


def digest(samples: NDArray[np.int16]) -> str:
    return hashlib.sha256(samples.tobytes()).hexdigest()


def test_every_digit_is_spoken_within_the_range() -> None:
    takes = spoken(SpeechOptions(voices=("en-us",)), task())
    assert next(iter(takes)) == "en-us-r120-p50-zero"
    for raw in takes.values():
        assert isinstance(raw, RawClip)
        assert raw.sample_rate_hz == 22050
        assert 0.322 <= len(raw.samples) / 22050 <= 0.823
        assert np.abs(raw.samples.astype(int)).max() > 3000  # loud, not a whisper of noise
        assert len(audio.trim_silence(raw.samples, 22050)) == len(raw.samples)
    samples = [digest(raw.samples) for raw in takes.values() if isinstance(raw, RawClip)]
    assert len(set(samples)) == 10


def test_the_same_take_whatever_was_spoken_before() -> None:
    first = _espeak.speak("seven", "en-us+m3", 130, 40)
    for voice in ("en-us", "en-gb-scotland", "en-us+f4"):
        _espeak.speak("three", voice, 200, 80)
    assert digest(_espeak.speak("seven", "en-us+m3", 130, 40)) == digest(first)


def test_the_same_take_in_another_process() -> None:
    code = (
        "import hashlib; from xmbench.engines import _espeak\n"
        "_espeak.speak('nine', 'en-us+klatt', 150, 70)\n"
        "print(hashlib.sha256(_espeak.speak('seven', 'en-us+m3', 130, 40).tobytes()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == digest(_espeak.speak("seven", "en-us+m3", 130, 40))


def test_rate_and_pitch_change_the_sound() -> None:
    slow, fast = (_espeak.speak("seven", "en-us", rate, 50) for rate in (110, 200))
    assert len(slow) > 1.3 * len(fast)
    assert digest(_espeak.speak("seven", "en-us", 110, 80)) != digest(slow)


def test_a_long_data_path_is_made_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = _espeak.loader()
    folder = tmp_path / ("x" * 120) / ("y" * 120)
    folder.mkdir(parents=True)
    (folder / "espeak-ng-data").symlink_to(loader.get_data_path(), target_is_directory=True)

    class Far:
        get_library_path = staticmethod(loader.get_library_path)
        get_data_path = staticmethod(lambda: str(folder / "espeak-ng-data"))

    wanted = digest(_espeak.speak("two", "en-us", 120, 50))
    monkeypatch.setattr(_espeak, "loader", lambda: Far)
    _espeak.data_path.cache_clear()
    try:
        assert len(_espeak.data_path()) < 150
        assert digest(_espeak.speak("two", "en-us", 120, 50)) == wanted
    finally:
        _espeak.data_path.cache_clear()


def test_unknown_voices_are_all_named_with_the_nearest() -> None:
    options = SpeechOptions(voices=("en-us+Ande", "en-uss", "en-us+whisper", "en-us+f1"))
    with pytest.raises(UnknownNameError) as caught:
        SOURCE.entries(Memory(), options, task())
    text = str(caught.value)
    assert "the nearest is 'Andre" in text or "the nearest is 'Andy'" in text
    assert "the nearest is 'en-us'" in text
    assert "sounds different each time" in text
    assert len(caught.value.problems) == 3


def test_unknown_engine_and_impossible_rate() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'espeak-ng'"):
        SOURCE.entries(Memory(), SpeechOptions(engine="espeak", voices=("en-us",)), task())
    with pytest.raises(DocumentError, match="700"):
        SOURCE.entries(Memory(), SpeechOptions(voices=("en-us",), rates=(700,)), task())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either `voices`"),
        ({"voices": ("en-us",), "train_voices": ("en",)}, "either `voices`"),
        ({"train_voices": ("en-us",)}, "go together"),
        ({"train_voices": ("en-us",), "test_voices": ("en-us",)}, "both splits: en-us"),
        ({"voices": ("en-us",), "pitches": (101,)}, "0..100"),
        ({"voices": ("en-us",), "rate": 120}, "Extra inputs"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SpeechOptions(**options)


def test_takes_of_one_name_are_refused() -> None:
    with pytest.raises(DocumentError, match="same name"):
        SOURCE.entries(Memory(), SpeechOptions(voices=("en-us",), rates=(120, 120)), task())


def test_voices_by_split_are_groups() -> None:
    options = SpeechOptions(train_voices=("en-us", "en-us+m1"), test_voices=("en-us+m2",), pitches=(40, 60))
    entries = SOURCE.entries(Memory(), options, task())
    groups = {split: {entry.group for entry in entries if entry.split == split} for split in ("train", "test")}
    assert groups == {"train": {"en-us", "en-us-m1"}, "test": {"en-us-m2"}}
    assert len(entries) == 3 * 2 * 10


def test_a_word_out_of_range_is_spoken_again() -> None:
    options = SpeechOptions(voices=("en-us",), rates=(120,))
    free = spoken(options, task())["en-us-r120-p50-seven"]
    assert isinstance(free, RawClip)
    limit_s = len(free.samples) / 22050 - 0.02
    raw = spoken(options, task(AudioFormat(22050, 18140, 0.322, limit_s)))["en-us-r120-p50-seven"]
    assert isinstance(raw, RawClip)
    assert len(raw.samples) / 22050 <= limit_s
    assert int(raw.attributes["rate_wpm"]) > 120


def test_a_word_that_cannot_fit_is_filtered_with_its_reason() -> None:
    options = SpeechOptions(voices=("en-us",), max_rerating=2)
    long = spoken(options, task(AudioFormat(22050, 18140, 0.05, 0.1)))
    short = spoken(options, task(AudioFormat(22050, 44100, 1.9, 2.0)))
    for found, reason in ((long, "too-long"), (short, "too-short")):
        for raw in found.values():
            assert isinstance(raw, Rejected)
            assert (raw.reason, raw.filtered) == (reason, True)
            assert "words per minute" in raw.detail


@pytest.mark.parametrize(("samples", "reason"), [(0, "empty"), (2000, "silent")])
def test_an_engine_that_says_nothing(samples: int, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute:
        facts = EngineFacts("mute", 22050, rates=(80, 450), pitches=(0, 100))
        version = staticmethod(lambda: "1")
        check_voices = staticmethod(lambda voices: None)
        speak = staticmethod(lambda word, voice, rate, pitch: np.zeros(samples, dtype=np.int16))

    monkeypatch.setattr(registry, "engine", lambda name: Mute())
    takes = spoken(SpeechOptions(engine="mute", voices=("any",)), task(words=("one", "two")))
    assert {(raw.reason, raw.filtered) for raw in takes.values() if isinstance(raw, Rejected)} == {(reason, False)}
