"""The spoken-word judge: its machinery on untrained networks, its accuracy on the frozen weights."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from importlib.resources import files

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from tests.conftest import shared
from xmbench.engines._espeak import SAMPLE_RATE_HZ, speak
from xmbench.errors import PrerequisiteError
from xmbench.judges.words import convolutional
from xmbench.judges.words.convolutional import SpokenWordJudge, WordNet
from xmbench.judges.words.judging import BATCH, EMBEDDING
from xmbench.judges.words.kind import word_judge
from xmbench.judges.words.training import Judge, fit
from xmbench.media.audio import resample, to_float, trim_silence

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NONE = len(WORDS)
VOICES = ("en-us", "en-us+m7", "en-gb-x-rp+belinda", "en-029+rob")
LARGEST_BYTES = 300_000
RECORDINGS = 3000

WEIGHTS = files("xmbench") / "judges" / "words" / "weights"
Clip = NDArray[np.float32]


def spoken(voice: str) -> list[Clip]:
    """The ten words, trimmed."""
    takes = [trim_silence(speak(word, voice, 120, 50), SAMPLE_RATE_HZ) for word in WORDS]
    return [to_float(take) for take in takes]


def recognised(judge: Judge, clips: list[Clip], rate: int = SAMPLE_RATE_HZ) -> list[int]:
    return [int(index) for index in judge.probabilities(clips, rate).argmax(axis=1)]


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [clip for voice in VOICES for clip in spoken(voice)]


@pytest.fixture(scope="module")
def untrained() -> SpokenWordJudge:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return SpokenWordJudge.of(WORDS, [WordNet(len(WORDS)).eval() for _ in range(3)])


@pytest.fixture(scope="module")
def frozen() -> Judge:
    return word_judge((WEIGHTS / "digits.safetensors").read_bytes())


# ------------------------------------------------------------------------------------------- machinery
def test_bytes_round_trip_to_the_same_judge(untrained: SpokenWordJudge, clips: list[Clip]) -> None:
    data = untrained.data
    convolutional._unpack.cache_clear()
    again = SpokenWordJudge.from_bytes(data)
    assert again is not untrained
    assert again.class_names == WORDS
    assert again.data == data
    assert len(data) <= LARGEST_BYTES
    expected = untrained.probabilities(clips, SAMPLE_RATE_HZ)
    np.testing.assert_array_equal(again.probabilities(clips, SAMPLE_RATE_HZ), expected)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-100], lambda data: b"x" * 50])
def test_damaged_bytes_are_refused(untrained: SpokenWordJudge, damage: object) -> None:
    assert callable(damage)
    with pytest.raises(PrerequisiteError, match="cannot be read"):
        SpokenWordJudge.from_bytes(damage(untrained.data))


def test_weights_of_another_format_are_refused(untrained: SpokenWordJudge) -> None:
    data = untrained.data.replace(b"spoken-word-judge/2", b"spoken-word-judge/9")
    with pytest.raises(PrerequisiteError, match="another judge"):
        SpokenWordJudge.from_bytes(data)


def test_shapes_and_sums(untrained: SpokenWordJudge, clips: list[Clip]) -> None:
    found = untrained.probabilities(clips, SAMPLE_RATE_HZ)
    assert found.shape == (len(clips), len(WORDS) + 1)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)
    assert untrained.embed(clips, SAMPLE_RATE_HZ).shape == (len(clips), EMBEDDING)
    assert untrained.probabilities([], SAMPLE_RATE_HZ).shape == (0, len(WORDS) + 1)
    assert untrained.embed([], SAMPLE_RATE_HZ).shape == (0, EMBEDDING)


def test_a_clip_gives_the_same_in_any_batch_and_order(untrained: SpokenWordJudge, clips: list[Clip]) -> None:
    many = clips + clips[:30]
    assert len(many) > BATCH
    together = untrained.probabilities(many, SAMPLE_RATE_HZ)
    backwards = untrained.probabilities(many[::-1], SAMPLE_RATE_HZ)[::-1]
    alone = np.concatenate([untrained.probabilities([clip], SAMPLE_RATE_HZ) for clip in many[:2]])
    np.testing.assert_allclose(backwards, together, atol=1e-6)
    np.testing.assert_allclose(alone, together[:2], atol=1e-6)


def test_the_same_call_gives_the_same_bits_with_any_number_of_threads(
    untrained: SpokenWordJudge, clips: list[Clip]
) -> None:
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 4):  # the bands too: four took their sums in another order
            torch.set_num_threads(threads)
            found.append(untrained.probabilities(clips, SAMPLE_RATE_HZ))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(("gain", "tolerance"), [(0.5, 0.0), (0.25, 0.0), (0.013, 1e-4)])
def test_gain_plays_no_part(untrained: SpokenWordJudge, clips: list[Clip], gain: float, tolerance: float) -> None:
    quiet = [clip * np.float32(gain) for clip in clips]
    expected = untrained.probabilities(clips, SAMPLE_RATE_HZ)
    np.testing.assert_allclose(untrained.probabilities(quiet, SAMPLE_RATE_HZ), expected, atol=tolerance)


def test_zeros_after_a_word_play_no_part(frozen: Judge, clips: list[Clip]) -> None:
    padded = [np.pad(clip, (0, int(0.5 * SAMPLE_RATE_HZ))) for clip in clips]
    assert recognised(frozen, padded) == recognised(frozen, clips)


def test_training_is_seeded() -> None:
    takes = spoken("en-us")[:2]

    def trained() -> bytes:
        judge = fit(takes, SAMPLE_RATE_HZ, [0, 1], WORDS[:2], seed=1, steps=2, networks=1, progress=lambda line: None)
        return judge.data

    assert trained() == trained()


# ------------------------------------------------------------------------------------------ recognition
def test_the_frozen_judge_is_small_and_is_the_one_on_its_card(frozen: Judge) -> None:
    card = json.loads((WEIGHTS / "digits.json").read_text("utf-8"))
    assert frozen.class_names == WORDS
    assert len(frozen.data) <= 400_000
    assert hashlib.sha256(frozen.data).hexdigest() == card["sha256"]


def test_synthesised_words_are_recognised(frozen: Judge, clips: list[Clip]) -> None:
    right = np.array(recognised(frozen, clips)) == np.tile(np.arange(len(WORDS)), len(VOICES))
    assert right.mean() >= 0.95


def test_words_are_recognised_at_any_position(frozen: Judge) -> None:
    late = [np.pad(clip, (int(0.4 * SAMPLE_RATE_HZ), 0)) for clip in spoken("en-us")]
    assert recognised(frozen, late) == list(range(len(WORDS)))


def test_silence_noise_and_tones_are_not_words(frozen: Judge) -> None:
    rng = np.random.default_rng(0)
    length = SAMPLE_RATE_HZ
    time = np.arange(length) / SAMPLE_RATE_HZ
    white = rng.normal(0, 0.1, length)
    brown = np.cumsum(rng.normal(0, 0.01, length))
    hum = 0.1 * np.sin(2 * np.pi * 50 * time) + 0.03 * np.sin(2 * np.pi * 150 * time)
    sounds = [np.zeros(length), white, brown - brown.mean(), hum, 0.3 * np.sin(2 * np.pi * 1000 * time)]
    assert recognised(frozen, [sound.astype(np.float32) for sound in sounds]) == [NONE] * len(sounds)


def test_the_sample_rate_plays_no_part(frozen: Judge, clips: list[Clip]) -> None:
    telephone = [resample(clip, SAMPLE_RATE_HZ, 8000) for clip in clips]
    expected = frozen.probabilities(clips, SAMPLE_RATE_HZ)
    np.testing.assert_allclose(frozen.probabilities(telephone, 8000), expected, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "digits-second"])
def test_real_recordings_are_recognised_as_well_as_the_record_says(name: str) -> None:
    judge = word_judge((WEIGHTS / f"{name}.safetensors").read_bytes())
    archive = shared("data", "fsdd", "fsdd_flac.zip")
    card = json.loads((WEIGHTS / f"{name}.json").read_text("utf-8"))
    claimed = [entry["accuracy"] for entry in card["accuracy"].values() if entry["n"] == RECORDINGS]
    recordings: list[Clip] = []
    labels: list[int] = []
    with zipfile.ZipFile(archive) as stored:
        for name in sorted(name for name in stored.namelist() if name.endswith(".flac")):
            samples, rate = soundfile.read(io.BytesIO(stored.read(name)), dtype="float32")
            assert rate == 8000
            recordings.append(samples)
            labels.append(int(name.split("/")[-1][0]))
    assert len(recordings) == RECORDINGS
    accuracy = float((judge.probabilities(recordings, 8000).argmax(axis=1) == np.array(labels)).mean())
    assert len(claimed) == 1
    assert accuracy == pytest.approx(claimed[0], abs=0.003)
