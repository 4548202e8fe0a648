"""Recorded words: names that say everything, and every way in which a recording cannot be used."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.conftest import shared
from tests.upstreams import Memory
from xmbench.builder.plan import load_recipe
from xmbench.errors import UpstreamError
from xmbench.interfaces import AudioFormat, Entry, ImageFormat, RawClip, Rejected, Task
from xmbench.media import audio
from xmbench.sources.recordings import SOURCE, RecordingsOptions, read_take

TASK = Task(("0", "1"), ("zero", "one"), ImageFormat(28, 28, 1), AudioFormat(22050, 26460, 0.15, 1.2))
OPTIONS = RecordingsOptions(train_speakers=("ann", "Bob"), test_speakers=("cy",))
NAMES = [f"recordings/{word}_{who}_{take}.wav" for word in "10" for who in ("cy", "Bob", "ann") for take in (10, 9)]


def entries(names: list[str], options: RecordingsOptions = OPTIONS, task: Task = TASK) -> list[Entry]:
    return SOURCE.entries(Memory(dict.fromkeys(names, b"")), options, task)


def sound(samples: Any, rate: int = 8000, container: str = "WAV", subtype: str = "PCM_16") -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.asarray(samples), rate, format=container, subtype=subtype)
    return stream.getvalue()


def tone(seconds: float, rate: int = 8000) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)


def test_names_become_entries_in_a_stable_order() -> None:
    found = entries(NAMES)
    assert [entry.key for entry in found][:3] == ["zero-ann-9", "zero-ann-10", "zero-bob-9"]
    assert found == entries(NAMES[::-1])
    assert {(entry.split, entry.group) for entry in found} == {("train", "ann"), ("train", "bob"), ("test", "cy")}
    assert dict(found[2].attributes) == {"text": "zero", "speaker": "Bob", "engine": "recorded"}
    assert entries([*NAMES, "recordings/.DS_Store", "recordings/notes.txt"]) == found


def test_classes_of_two_words() -> None:
    task = Task(("aquarium_fish", "cat"), (), TASK.image, TASK.audio)
    names = [f"{word}_{who}_0.flac" for word in ("aquarium_fish", "cat") for who in ("ann", "Bob", "cy")]
    assert [entry.label for entry in entries(names, task=task)] == [0, 0, 0, 1, 1, 1]


def test_everything_that_is_wrong_is_listed() -> None:
    names = [name for name in NAMES if "1_cy" not in name]
    names += ["7_ann_0.wav", "zero.wav", "0_dora_1.wav", "0_ann_first.wav", "other/0_ann_9.wav"]
    with pytest.raises(UpstreamError) as caught:
        entries(names, OPTIONS.model_copy(update={"left_out_speakers": ("eve",), "test_speakers": ("cy", "fay")}))
    text = str(caught.value)
    for said in (
        "7_ann_0.wav: '7' is not a class",
        "zero.wav: not <class>_<speaker>_<take>",
        "does not name the speaker 'dora'",
        "0_ann_first.wav: not",
        "no recording by 'fay'",
        "no recording of '1' for the split test",
        "1 recording(s) of one class, speaker and take",
    ):
        assert said in text
    assert len(caught.value.problems) == 7


def test_speakers_may_be_left_out_by_name() -> None:
    found = entries([*NAMES, "0_dora_1.wav"], OPTIONS.model_copy(update={"left_out_speakers": ("dora",)}))
    assert "dora" not in {entry.group for entry in found}


def test_a_speaker_is_listed_once() -> None:
    with pytest.raises(ValidationError, match="named twice: ann"):
        RecordingsOptions(train_speakers=("ann",), test_speakers=("ann",))


@pytest.mark.parametrize(
    ("container", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "PCM_U8")]
)
@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_takes_are_resampled_and_trimmed(container: str, subtype: str, rate: int) -> None:
    quiet = np.zeros(rate // 5)
    data = sound(np.concatenate([quiet, tone(0.5, rate), quiet]), rate, container, subtype)
    raw = read_take(data, 22050)
    assert isinstance(raw, RawClip)
    assert raw.sample_rate_hz == 22050
    assert len(raw.samples) / 22050 == pytest.approx(0.5, abs=0.025)
    assert len(audio.trim_silence(raw.samples, 22050)) == len(raw.samples)
    spectrum = np.abs(np.fft.rfft(raw.samples.astype(float)))
    assert np.fft.rfftfreq(len(raw.samples), 1 / 22050)[spectrum.argmax()] == pytest.approx(440, abs=3)


def test_channels_are_averaged() -> None:
    left = read_take(sound(np.stack([tone(0.4), np.zeros(3200)], axis=1)), 8000)
    whole = read_take(sound(tone(0.4) / 2), 8000)
    assert isinstance(left, RawClip)
    assert isinstance(whole, RawClip)
    assert np.abs(left.samples.astype(int) - whole.samples).max() <= 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "corrupt-audio"),
        (b"RIFF rubbish", "corrupt-audio"),
        (sound(np.zeros(4000)), "silent"),
        (sound(np.zeros(0)), "silent"),
        (sound(np.full(4000, np.nan), subtype="FLOAT"), "non-finite"),
        (sound(tone(0.5), 1), "odd-rate"),
    ],
)
def test_recordings_that_cannot_be_used_are_booked(data: bytes, reason: str) -> None:
    raw = read_take(data, 22050)
    assert isinstance(raw, Rejected)
    assert (raw.reason, raw.filtered) == (reason, False)


def test_a_float_file_of_any_loudness_is_clipped() -> None:
    raw = read_take(sound(tone(0.5) * 1e30, subtype="FLOAT"), 22050)
    assert isinstance(raw, RawClip)
    assert np.abs(raw.samples.astype(int)).max() >= 32767


@given(st.data())
def test_a_recording_cut_anywhere_is_read_or_booked(data: st.DataObject) -> None:
    whole = sound(tone(0.1), container=data.draw(st.sampled_from(["WAV", "FLAC"])))
    assert isinstance(read_take(whole[: data.draw(st.integers(0, len(whole)))], 22050), RawClip | Rejected)


def test_the_real_recordings(tmp_path: Path) -> None:
    import zipfile

    recipe = load_recipe("mnist-ad-human")
    options = RecordingsOptions(**recipe.sources["speech"].options)
    with zipfile.ZipFile(shared("data", "fsdd", "fsdd_flac.zip")) as packed:
        files = {name: packed.read(name) for name in packed.namelist() if name.endswith(".flac")}
    found = SOURCE.entries(Memory(files), options, recipe.task)
    assert Counter(entry.split for entry in found) == {"train": 2000, "test": 1000}
    assert {entry.group for entry in found if entry.split == "test"} == {"jackson", "lucas"}
    some = found[::50]
    for entry, raw in zip(some, SOURCE.read(Memory(files), options, recipe.task, some), strict=True):
        assert isinstance(raw, RawClip), entry.key
        assert raw.sample_rate_hz == 22050
        spectrum = np.abs(np.fft.rfft(raw.samples.astype(float))) ** 2
        above = np.fft.rfftfreq(len(raw.samples), 1 / 22050) > 4200
        assert spectrum[above].sum() < 1e-3 * spectrum.sum()  # as the recipe says: band-limited
