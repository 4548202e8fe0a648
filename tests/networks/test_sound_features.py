"""The five features of a sound against librosa's values, and against what they say they are."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmbench.interfaces import AudioFormat
from xmbench.networks.mel_decibels import LITERAL_HOP, MelDecibels
from xmbench.networks.sound_features import FEATURES, HOP, LOWEST_HZ, features, size

RATE = 44_100
SAMPLES = 22_050
REFERENCE = Path(__file__).with_name("librosa_features.npz")
MADE_BY = runpy.run_path(str(REFERENCE.with_suffix(".py")))
# Largest difference from librosa 0.11, as a share of the largest value; in dB for log-mel.
NEAR = {"stft": 1e-6, "mel": 1e-5, "mfcc": 1e-4, "log-mel": 0.01, "cqt": 0.01}


def tone(hertz: float, samples: int = SAMPLES) -> Tensor:
    return torch.sin(2 * np.pi * hertz / RATE * torch.arange(samples, dtype=torch.float64)).float()[None]


@pytest.fixture(scope="module")
def librosas() -> dict[str, NDArray[np.float32]]:
    with np.load(REFERENCE) as stored:
        return dict(stored)


@pytest.mark.parametrize("name", FEATURES)
def test_the_values_are_librosas(name: str, librosas: dict[str, NDArray[np.float32]]) -> None:
    found = features(name, RATE)(torch.from_numpy(MADE_BY["played"]())[None])[0].numpy()
    assert found.shape == tuple(librosas[f"{name}-shape"]) == size(name, SAMPLES)
    theirs = librosas[name]
    scale = 1.0 if name == "log-mel" else np.abs(theirs).max()
    assert np.abs(found[:, MADE_BY["KEPT"]] - theirs).max() <= NEAR[name] * scale


def test_log_mel_is_the_picture_of_the_paper_and_the_one_that_is_inverted() -> None:
    assert size("log-mel", SAMPLES) == (128, 44)
    waves = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (2, SAMPLES)).astype(np.float32))
    other = MelDecibels(AudioFormat(RATE, SAMPLES, 0.49, 0.501), LITERAL_HOP, "cpu").decibels(waves)
    torch.testing.assert_close(features("log-mel", RATE)(waves), other)


@pytest.mark.parametrize("semitone", [12, 45, 83])
def test_a_tone_is_in_its_semitone(semitone: int) -> None:
    found = features("cqt", RATE)(tone(LOWEST_HZ * 2 ** (semitone / 12)))[0]
    assert found.argmax(dim=0)[22].item() == semitone


def test_the_constant_q_transform_is_its_definition() -> None:
    wave = np.random.default_rng(1).normal(0, 0.1, SAMPLES)
    k, frame = 60, 20
    hertz, quality = LOWEST_HZ * 2 ** (k / 12), (2 ** (1 / 6) + 1) / (2 ** (1 / 6) - 1)
    length = quality * RATE / hertz
    n = np.arange(np.floor(-length / 2), np.floor(length / 2))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(len(n)) / len(n))
    atom = window / window.sum() * np.exp(-2j * np.pi * hertz / RATE * n)
    expected = np.sqrt(length) * abs((wave[frame * HOP + n.astype(int)] * atom).sum())
    found = features("cqt", RATE)(torch.from_numpy(wave.astype(np.float32))[None])[0, k, frame].item()
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", FEATURES)
def test_sounds_of_a_batch_do_not_influence_each_other(name: str) -> None:
    module = features(name, RATE)
    loud, quiet = tone(440, 6_000), 1e-3 * tone(1_000, 6_000)
    torch.testing.assert_close(module(torch.cat([loud, quiet]))[1:], module(quiet), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FEATURES)
def test_silence_has_finite_values_and_nothing_is_stored(name: str) -> None:
    module = features(name, RATE)
    assert torch.isfinite(module(torch.zeros(1, SAMPLES))).all()
    assert not module.state_dict()
    assert not list(module.parameters())


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="expected one of stft, cqt"):
        features("wave", RATE)
    with pytest.raises(ValueError, match="no constant-Q transform"):
        features("cqt", 8_000)
