"""How spoken-word judges reject: the rule, older weights, the measures, what the frozen ones take for a digit."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from xmbench.engines._espeak import SAMPLE_RATE_HZ, speak
from xmbench.errors import DatasetError, UnknownNameError
from xmbench.formats.dataset import Dataset
from xmbench.judges.fitting import fit as fit_and_write
from xmbench.judges.licences import licences
from xmbench.judges.measuring import accepted_when_kept, calibration_error
from xmbench.judges.records import read_judge
from xmbench.judges.rejecting import Rejection
from xmbench.judges.stored import pack
from xmbench.judges.synthesised_sounds import synthesised
from xmbench.judges.words.clips import Clips, others, sounds_by_kind
from xmbench.judges.words.convolutional import FIRST_FORMAT, WordNet
from xmbench.judges.words.kind import word_judge
from xmbench.judges.words.measuring import Heard, made, noise
from xmbench.judges.words.recurrent import CEPSTRA, RecurrentNet
from xmbench.judges.words.recurrent import FIRST_FORMAT as FIRST_RECURRENT
from xmbench.judges.words.training import Judge, fit
from xmbench.media.audio import to_float, trim_silence

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
OTHERS = ("bed", "bird", "cat", "dog", "house", "sheila", "yes", "left", "stop", "follow", "jungle", "pencil")
DIGITS = ("digits", "digits-second")
CIFAR = ("cifar10-words",)
WEIGHTS = Path(str(files("xmbench"))) / "judges" / "words" / "weights"
Clip = NDArray[np.float32]


@cache
def spoken(words: tuple[str, ...], voice: str = "en-us+m7") -> list[Clip]:
    """Freshly spoken, by a voice that no judge was trained on."""
    return [to_float(trim_silence(speak(word, voice, 130, 50), SAMPLE_RATE_HZ)) for word in words]


def frozen(name: str) -> Judge:
    return word_judge((WEIGHTS / f"{name}.safetensors").read_bytes())


def write(folder: Path, name: str, clip: Clip) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / name, clip, SAMPLE_RATE_HZ)


# ------------------------------------------------------------------------------------------------ the rule
@given(st.lists(st.floats(-20, 20), min_size=4, max_size=14), st.floats(0.3, 4.0), st.floats(-5.0, 5.0))
def test_probabilities_sum_to_one_and_a_bias_moves_only_the_rejection(
    logits: list[float], temperature: float, bias: float
) -> None:
    given_logits = torch.tensor([logits], dtype=torch.float64)
    plain = Rejection(2, temperature).probabilities(given_logits)[0]
    moved = Rejection(2, temperature, bias).probabilities(given_logits)[0]
    assert float(plain.sum()) == pytest.approx(1.0)
    assert float(moved.sum()) == pytest.approx(1.0)
    assert len(moved) == len(logits) - 1
    assert bool(moved[-1] >= plain[-1] - 1e-12) == (bias >= 0) or float(plain[-1]) == pytest.approx(float(moved[-1]))
    np.testing.assert_allclose(moved[:-1] / moved[:-1].sum(), plain[:-1] / plain[:-1].sum(), rtol=1e-6)


def test_the_last_column_is_the_sum_of_both_rejections() -> None:
    logits = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    every = torch.softmax(logits, 1)
    found = Rejection().probabilities(logits)
    np.testing.assert_allclose(found[:, :10], every[:, :10], rtol=1e-5)
    np.testing.assert_allclose(found[:, 10], every[:, 10:].sum(1), rtol=1e-5)


def test_weights_of_the_first_format_are_still_read_and_have_one_rejection() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second = WordNet(10, rejects=1).eval(), RecurrentNet(10, rejects=1).eval()
    about = {"words": WORDS, "frames": 96}
    stored = [
        pack({"format": FIRST_FORMAT, "bands": 40, "channels": first.channels, **about}, [first]),
        pack({"format": FIRST_RECURRENT, "cepstra": CEPSTRA, **about}, [second]),
    ]
    for weights in stored:
        judge = word_judge(weights)
        assert judge.rejection == Rejection(outputs=1)
        found = judge.probabilities(spoken(WORDS), SAMPLE_RATE_HZ)
        assert found.shape == (10, 11)
        np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("architecture", ["convolutional", "recurrent", "voting", "embedding"])
def test_another_rejection_is_kept_in_the_weights(architecture: Any) -> None:
    judge = fit(
        spoken(WORDS),
        SAMPLE_RATE_HZ,
        [*range(8), 10, 11],  # another word, and no word
        WORDS,
        steps=1,
        architecture=architecture,
        progress=lambda line: None,
    )
    strict = judge.rejecting(Rejection(temperature=0.8, bias=30.0))
    again = word_judge(strict.data)
    assert again.rejection == Rejection(2, 0.8, 30.0)
    assert (again.probabilities(spoken(WORDS), SAMPLE_RATE_HZ).argmax(axis=1) == 10).all()
    np.testing.assert_allclose(again.embed(spoken(WORDS), SAMPLE_RATE_HZ), judge.embed(spoken(WORDS), SAMPLE_RATE_HZ))


# --------------------------------------------------------------------------------------------- measurements
def test_measures_are_those_counted_by_hand() -> None:
    rows = [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.4, 0.1, 0.5], [0.3, 0.6, 0.1]]
    heard = Heard(("a", "b"), np.array(rows, np.float32), np.array([0, 1, 0, 0]), ("x", "x", "y", "y"))
    assert heard.accuracy() == {
        "accuracy": 0.5,
        "n": 4,
        "by_class": {"a": 0.3333, "b": 1.0},
        "by_speaker": {"x": 1.0, "y": 0.0},
    }
    assert heard.false_accepts() == {"share": 0.75, "n": 4, "by_class": {"a": 0.25, "b": 0.5}}
    np.testing.assert_allclose(heard.accepting, [0.9, 0.7, 0.5, 0.9], rtol=1e-6)
    assert heard.calibration_error() == pytest.approx((0.3 + 0.5 + 2 * abs(0.5 - 0.6)) / 4, abs=1e-6)
    assert Heard.joined([heard, heard]).accuracy()["n"] == 8


def test_a_judge_that_is_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    assert calibration_error(np.full(10, 0.7), np.arange(10) < 7) == pytest.approx(0.0)
    assert calibration_error(np.full(10, 1.0), np.arange(10) < 7) == pytest.approx(0.3)


def test_the_threshold_keeps_at_least_the_share_of_the_words() -> None:
    rng = np.random.default_rng(0)
    words, sounds = rng.uniform(0.3, 1, 200), rng.uniform(0, 0.9, 500)
    threshold = np.sort(words)[20]
    assert (words >= threshold).mean() == 0.9
    assert accepted_when_kept(words, sounds) == pytest.approx((sounds >= threshold).mean())
    assert accepted_when_kept(words, sounds, kept=1.0) >= accepted_when_kept(words, sounds, kept=0.5)


def test_sounds_made_of_words_are_the_words_reversed_and_halved() -> None:
    clips = Clips()
    clips.add(np.array([0.1, 0.2, 0.3, 0.4], np.float32), 3, "anna")
    backwards, halves = (part[8000] for part in made({8000: clips}).values())
    np.testing.assert_array_equal(backwards.samples[0], np.array([0.4, 0.3, 0.2, 0.1], np.float32))
    assert [half.tolist() for half in halves.samples] == [pytest.approx([0.1, 0.2]), pytest.approx([0.3, 0.4])]


def test_synthesised_sounds_are_repeatable_and_varied() -> None:
    first, again, other = synthesised(40, 16000, 0), synthesised(40, 16000, 0), synthesised(40, 16000, 1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    for sound in first:
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() == pytest.approx(0.6, abs=1e-3)
        assert 0.3 <= len(sound) / 16000 <= 1.0


# --------------------------------------------------------------------------------------------- directories
def test_a_directory_of_other_words_leaves_the_own_ones_out(tmp_path: Path) -> None:
    task = SimpleNamespace(class_names=("oak_tree", "bee"), words=("oak tree", "bee"))
    dataset = cast(Dataset, SimpleNamespace(recipe=SimpleNamespace(task=task)))
    for name in ("bee_anna_1.wav", "oak-tree_ben_2.wav", "beetle_ben_3.wav", "oak_anna_4.wav"):
        write(tmp_path / "o", name, spoken(WORDS)[0])
    (found,) = others(tmp_path / "o", dataset).values()
    assert sorted(zip(found.labels, found.speakers, strict=True)) == [(2, "anna"), (2, "ben")]
    write(tmp_path / "own", "bee_anna_1.wav", spoken(WORDS)[0])
    with pytest.raises(UnknownNameError, match="no clips of other words"):
        others(tmp_path / "own", dataset)


def test_sounds_are_found_by_kind_at_any_depth(tmp_path: Path) -> None:
    for name in ("music/flute/a.wav", "music/b.wav", "rain/c.flac", "loose.wav"):
        write((tmp_path / name).parent, Path(name).name, spoken(WORDS)[0])
    found = sounds_by_kind(tmp_path)
    assert {kind: sum(len(part) for part in clips.values()) for kind, clips in found.items()} == {"music": 2, "rain": 1}
    with pytest.raises(UnknownNameError, match="no sounds"):
        sounds_by_kind(tmp_path / "music" / "flute" / "empty")


def test_licences_are_those_that_the_directory_states(tmp_path: Path) -> None:
    (tmp_path / "licences.json").write_text(json.dumps({"flite": "free", "flite-x": "other"}))
    found = licences(tmp_path, ["flite-slt", "flite-xy", "anna"])
    assert found == {"anna": "unstated", "flite": "free", "flite-x": "other"}
    (tmp_path / "licences.json").write_text("[1]")
    with pytest.raises(DatasetError, match="licences"):
        licences(tmp_path, ["anna"])


def test_what_a_judge_takes_for_a_word_stands_in_its_record(digits: Dataset, tmp_path: Path) -> None:
    for word, clip in zip(WORDS, spoken(WORDS), strict=True):
        write(tmp_path / "v", f"{word}_anna_0.wav", clip)
        write(tmp_path / "v", f"{word}_ben_0.wav", clip)
    for word, clip in zip(OTHERS, spoken(OTHERS), strict=True):
        write(tmp_path / "o", f"{word}_anna_0.wav", clip)
        write(tmp_path / "s" / "other-words", f"{word}.wav", clip)
    (tmp_path / "o" / "licences.json").write_text(json.dumps({"anna": "CC0-1.0"}))
    (tmp_path / "v" / "licences.json").write_text(json.dumps({"anna": "CC0-1.0"}))
    record = fit_and_write(
        [digits],
        tmp_path / "out",
        "words",
        steps=1,
        options={
            "voices": tmp_path / "v",
            "other_words": tmp_path / "o",
            "sounds": tmp_path / "s",
            "hold_out": ("ben",),
            "recordings": tmp_path / "v",
        },
        progress=lambda line: None,
    )
    kinds = {"noise", "reversed", "half-words", "reversed-recordings", "half-words-recordings", "other-words"}
    assert set(record.false_accepts) == kinds
    assert record.false_accepts["other-words"].n == len(OTHERS)
    assert set(record.calibration) == set(record.accuracy)
    assert record.calibration["real recordings"].n == 2 * len(WORDS)
    assert record.voices["anna"] == "CC0-1.0"
    assert "ben" not in record.voices
    loaded = read_judge(tmp_path / "out" / f"{record.name}.json", local=True)
    assert loaded.record == record
    assert loaded.card.false_accepts["other-words"] == record.false_accepts["other-words"].share
    assert loaded.card.calibration_error == max(found.error for found in record.calibration.values())


def test_a_record_of_version_2_is_read(tmp_path: Path) -> None:
    known = json.loads((WEIGHTS / "digits.json").read_text())
    for key in ("false_accepts", "calibration", "voices"):
        known.pop(key, None)
    (tmp_path / "digits.json").write_text(json.dumps(known | {"schema": "xmbench/judge/2"}))
    (tmp_path / "digits.safetensors").write_bytes((WEIGHTS / "digits.safetensors").read_bytes())
    loaded = read_judge(tmp_path / "digits.json")
    assert loaded.record.schema_ == "xmbench/judge/3"
    assert loaded.card.false_accepts == {}
    assert loaded.card.calibration_error is None


# ------------------------------------------------------------------------------------------ the frozen judges
@pytest.mark.parametrize("name", DIGITS)
def test_other_words_are_not_digits(name: str) -> None:
    """The case that the first judges failed: they took 99 of 100 other words for a digit."""
    clips = [clip for voice in ("en-us+m7", "en-gb-x-rp+belinda", "en-029+rob") for clip in spoken(OTHERS, voice)]
    found = frozen(name).probabilities(clips, SAMPLE_RATE_HZ).argmax(axis=1)
    assert (found != len(WORDS)).mean() <= 0.15


@pytest.mark.parametrize("name", CIFAR)
def test_other_words_are_not_names_of_things(name: str) -> None:
    judge = frozen(name)
    others = tuple(word for word in OTHERS if word not in judge.class_names)
    clips = [clip for voice in ("en-us+m7", "en-gb-x-rp+belinda", "en-029+rob") for clip in spoken(others, voice)]
    found = judge.probabilities(clips, SAMPLE_RATE_HZ).argmax(axis=1)
    assert (found != len(judge.class_names)).mean() <= 0.15


@pytest.mark.parametrize("name", DIGITS)
def test_reversed_words_noise_and_music_are_not_digits(name: str) -> None:
    judge = frozen(name)
    clips = Clips()
    for voice in ("en-us+m7", "en-us+Mike"):
        for clip in spoken(WORDS, voice):
            clips.add(clip, 0, voice)
    backwards = Heard.of(judge, made({SAMPLE_RATE_HZ: clips})["reversed"])
    assert backwards.false_accepts()["share"] <= 0.3
    assert Heard.of(judge, noise(1)).false_accepts()["share"] <= 0.03
    music = Clips(synthesised(100, 16000, seed=9), [-1] * 100, [""] * 100)
    assert Heard.of(judge, {16000: music}).false_accepts()["share"] <= 0.05


@pytest.mark.parametrize("name", [*DIGITS, *CIFAR])
def test_the_record_of_a_frozen_judge_says_what_it_takes_for_a_word(name: str) -> None:
    record = read_judge(WEIGHTS / f"{name}.json").record
    kinds = {"other-words", "reversed", "half-words", "instruments", "environment", "noise"}
    tests = {"held-out voices"}
    if name in DIGITS:
        kinds, tests = kinds | {"near-homophones"}, tests | {"real recordings"}
    assert kinds <= set(record.false_accepts)
    assert tests <= set(record.calibration)
    assert record.voices
    assert not any("unstated" in licence for licence in record.voices.values())
