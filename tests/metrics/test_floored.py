"""corr2d-floored: what nobody hears neither costs nor earns anything, and no trick hides noise under the floor."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.recordings import RATE_HZ, real_digits
from xmbench import registry
from xmbench.conformance import speech_vectors
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_clip
from xmbench.interfaces import AudioFormat, ImageFormat, Pair, ScoringContext, Task
from xmbench.measures.auditory_spectrogram import auditory_spectrogram
from xmbench.measures.corr2d import floored
from xmbench.media import audio
from xmbench.media.signal import Sound

Clip = NDArray[np.float32]
FIXED = 19_200  # samples at 16 kHz, 1.2 s
CONTEXT = ScoringContext(Task(("0",), ("zero",), ImageFormat(1, 1, 1), AudioFormat(RATE_HZ, FIXED, 0.1, 1.2)))


@pytest.fixture(scope="module")
def words(digits: Dataset) -> list[Clip]:
    """The ten synthesised digits, padded with zeros, at 16 kHz."""
    found: dict[int, Clip] = {}
    for row in digits.rows("test", ["audio", "label"]):
        clip = audio.to_float(read_clip(row, digits))
        found.setdefault(int(row["label"]), audio.resample(clip, digits.recipe.audio.sample_rate_hz, RATE_HZ))
    return [found[label] for label in range(10)]


@functools.cache
def recordings() -> list[Clip]:
    return [np.asarray(audio.fit_length(clip, FIXED), dtype=np.float32) for clip in real_digits(24, seed=5)]


def value(reference: Clip, output: Clip, name: str = "corr2d-floored") -> float:
    (found,) = registry.metric(name).prepare([pair(reference, output)], CONTEXT)
    assert found.state is not None
    return float(found.state[0])


def pair(reference: Clip, output: Clip) -> Pair:
    return Pair(
        "x",
        0,
        Sound(np.asarray(output, dtype=np.float32), RATE_HZ),
        Sound(np.asarray(reference, dtype=np.float32), RATE_HZ),
    )


def samples_of(known: Pair) -> tuple[Clip, Clip]:
    assert isinstance(known.reference, Sound)
    assert isinstance(known.output, Sound)
    return known.reference.samples, known.output.samples


def mean(references: list[Clip], outputs: list[Clip], name: str = "corr2d-floored") -> float:
    return float(np.mean([value(known, made, name) for known, made in zip(references, outputs, strict=True)]))


def noisy(clips: list[Clip], level_db: float) -> list[Clip]:
    """With white noise at a level in dB of full scale, stored in 16 bits."""
    rng = np.random.default_rng(0)
    made = [clip + 10 ** (level_db / 20) * rng.normal(size=len(clip)) for clip in clips]
    return [np.asarray(np.round(np.clip(clip, -1, 1) * 32767) / 32768, dtype=np.float32) for clip in made]


def gated(clips: list[Clip], level_db: float) -> list[Clip]:
    """Silent where the level of 20 ms is below one in dB of the clip's peak."""
    found = []
    for clip in clips:
        level = np.sqrt(np.convolve(np.square(np.float64(clip)), np.full(320, 1 / 320), "same"))
        found.append(np.where(level < np.abs(clip).max() * 10 ** (level_db / 20), np.float32(0), clip))
    return found


def by_hand(reference: NDArray[np.float64], output: NDArray[np.float64]) -> float:
    """From two auditory spectrograms before the power, in the words of the definition: a gain, then one floor."""
    floor = reference.max() / 1000.0
    heard = reference > floor
    gain = (np.mean(reference[heard] ** 0.3) / np.mean(output[heard] ** 0.3)) ** (1 / 0.3)
    left = np.clip(reference, floor, None) ** 0.3
    right = np.clip(gain * output, floor, None) ** 0.3
    return float(np.corrcoef(left.ravel(), right.ravel())[0, 1])


def test_it_is_the_definition_written_out_on_spectrograms_that_equal_naplibs() -> None:
    for vector in speech_vectors():
        clips = samples_of(vector.pair)
        spectra = [auditory_spectrogram(clip) for clip in clips]
        assert value(*clips) == pytest.approx(by_hand(spectra[0], spectra[1]), abs=1e-9), vector.pair.id


def test_noise_that_nobody_hears_costs_nothing(words: list[Clip]) -> None:
    """At -60 dB of full scale it cost corr2d more than a wrong word in a hundred items."""
    made = noisy(words, -60)
    assert mean(words, made, "corr2d") < 0.985
    assert mean(words, made) > 0.998
    assert mean(words, noisy(words, -40)) < 0.97  # what is heard does cost


def test_a_noise_gate_earns_nothing_on_a_clean_system(words: list[Clip]) -> None:
    made = noisy(words, -66)
    gate = gated(made, -50)
    assert mean(words, gate, "corr2d") > mean(words, made, "corr2d") + 0.005
    assert mean(words, gate) == pytest.approx(mean(words, made), abs=1e-3)


def test_white_noise_is_at_the_bottom_and_silence_has_no_value(words: list[Clip]) -> None:
    rng = np.random.default_rng(1)
    noise = [np.asarray(rng.normal(0, 0.1, len(clip)), dtype=np.float32) for clip in words]
    assert mean(words, noise) < 0
    assert mean(words, words[1:] + words[:1]) > 0.3
    (silent,) = registry.metric("corr2d-floored").prepare([pair(words[0], np.zeros_like(words[0]))], CONTEXT)
    assert (silent.state, silent.status) == (None, "silent")


def test_on_human_speech_the_mean_waveform_falls_and_stays_below_a_word_with_noise() -> None:
    """Of a padded clip's corr2d much is the pause, which every clip has."""
    clips = recordings()
    average = np.asarray(np.mean([clip / np.abs(clip).max() for clip in clips], axis=0), dtype=np.float32)
    plain, found = (mean(clips, [average] * len(clips), name) for name in ("corr2d", "corr2d-floored"))
    assert found < plain - 0.05
    loud = [np.asarray(clip / np.abs(clip).max(), dtype=np.float32) for clip in clips]
    assert mean(loud, noisy(loud, -50)) > 0.97


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 7), st.floats(-20, 20))
def test_a_gain_of_output_or_reference_changes_nothing(which: int, gain_db: float) -> None:
    known, made = samples_of(speech_vectors()[which].pair)
    plain, gain = value(known, made), np.float32(10 ** (gain_db / 20))
    assert value(known, gain * made) == pytest.approx(plain, abs=1e-5)
    assert value(gain * known, made) == pytest.approx(plain, abs=1e-5)


@pytest.mark.parametrize("where", ["in the word", "in the pause"])
@pytest.mark.parametrize("noise_db", [-60, -50, -40])
def test_a_click_hides_no_noise_under_the_floor(where: str, noise_db: float, words: list[Clip]) -> None:
    """If the floor followed the output's own peak, one loud sample would move everything else below it."""
    made = noisy(words, noise_db)
    honest = mean(words, made)
    for level_db in (0, 10, 20, 40):
        clicked = []
        for known, clip in zip(words, made, strict=True):
            other = clip.copy()
            place = int(np.abs(known).argmax()) if where == "in the word" else len(clip) - 800
            other[place] += np.abs(known).max() * 10 ** (level_db / 20)
            clicked.append(other)
        assert mean(words, clicked) <= honest + 1e-4, level_db


@pytest.mark.parametrize("pitch_hz", [100, 200, 7000])
def test_a_loud_tone_hides_no_noise_under_the_floor(pitch_hz: float, words: list[Clip]) -> None:
    made = noisy(words, -50)
    tone = np.sin(2 * np.pi * pitch_hz * np.arange(len(words[0])) / RATE_HZ)
    for level_db in (-10, 10, 30):
        loud = [np.asarray(clip + 0.5 * 10 ** (level_db / 20) * tone, dtype=np.float32) for clip in made]
        assert mean(words, loud) < mean(words, made), level_db


def test_an_output_without_sound_where_the_reference_speaks_is_not_clipped() -> None:
    reference, output = np.zeros((4, 3)), np.zeros((4, 3))
    reference[0], output[3] = 1.0, 1.0
    left, right = floored(reference, output)
    assert left[1:].max() == pytest.approx(1e-3**0.3)
    np.testing.assert_array_equal(right, output)
    left, right = floored(np.zeros((4, 3)), output)
    assert not left.any()
    with pytest.raises(ValueError, match="one shape"):
        floored(np.zeros((2, 2)), np.zeros((2, 3)))
