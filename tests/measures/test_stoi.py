"""STOI and ESTOI against pystoi, stored references, hand-computed values and properties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pystoi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pystoi import utils

from xmbench.measures import stoi
from xmbench.measures.stoi import StoiScores, prepare, stoi_scores

RATE = 16_000
seeds = st.integers(0, 2**32 - 1)


def test_the_reference_pairs(speech_pairs: list[Any]) -> None:
    strict = 0
    for pair in speech_pairs:
        expected = pair.expected
        scores = stoi_scores(pair.reference, pair.output, RATE)
        assert scores.status == "ok"
        assert scores.frames == expected["stoi_frames"]
        assert scores.stoi == pytest.approx(expected["stoi"], abs=1e-6), expected["id"]
        assert scores.strict == (expected["stoi_strict"] is not None)
        if scores.strict:
            strict += 1
            assert scores.stoi == pytest.approx(expected["stoi_strict"], abs=1e-6)
            assert scores.estoi == pytest.approx(expected["estoi_strict"], abs=1e-6)
    assert strict > 10


@pytest.mark.parametrize("rate", [10_000, 16_000, 22_050])
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.5])
def test_equals_pystoi_on_long_signals(make_speech: Any, rate: int, noise: float) -> None:
    clean = make_speech(1, 2.0, rate)
    noisy = clean + noise * np.random.default_rng(2).standard_normal(len(clean))
    scores = stoi_scores(clean, noisy, rate)
    assert scores.strict
    assert scores.stoi == pytest.approx(pystoi.stoi(clean, noisy, rate), abs=1e-6)
    assert scores.estoi == pytest.approx(pystoi.stoi(clean, noisy, rate, extended=True), abs=1e-6)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("samples", [1, 50, 300, 18_140])
def test_resamples_as_pystoi_does(rate: int, samples: int) -> None:
    x = np.random.default_rng(samples).standard_normal(samples)
    expected = utils.resample_oct(x, 10_000, rate)
    np.testing.assert_allclose(prepare(x, rate).waveform, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_bands_are_those_of_pystoi() -> None:
    expected, _ = utils.thirdoct(10_000, 512, 15, 150)
    first, end = stoi._band_edges()
    bins = np.arange(257)
    ends = [*first[1:], end]
    ours = [(bins >= low) & (bins < high) for low, high in zip(first, ends, strict=True)]
    np.testing.assert_array_equal(np.array(ours, dtype=float), expected)


def test_stoi_by_hand() -> None:
    rising, falling = np.array([[[1.0, 2.0, 3.0]]]), np.array([[[3.0, 2.0, 1.0]]])
    assert stoi._stoi(rising, rising) == pytest.approx(1.0)
    assert stoi._stoi(rising, falling) == pytest.approx(-1.0)
    # Where the reference is zero the output is clipped to zero: nothing is left to correlate.
    x, y = np.array([[[1.0, 0.0, 0.0]]]), np.array([[[0.0, 1.0, 0.0]]])
    assert stoi._stoi(x, y) == pytest.approx(0.0)


def test_estoi_by_hand() -> None:
    """The rows (1 2 3) and (3 2 1): the middle column does not vary, counts 0, and the others count 1."""
    x = np.array([[[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]])
    assert stoi._estoi(x, x) == pytest.approx(2 / 3)
    assert stoi._estoi(x, x[:, ::-1]) == pytest.approx(-2 / 3)
    assert stoi._estoi(x, np.ones_like(x)) == 0.0


@given(seed=seeds, gain=st.floats(1e-3, 1e3), seconds=st.floats(0.3, 1.5))
@settings(max_examples=20, deadline=None)
def test_properties(make_speech: Any, seed: int, gain: float, seconds: float) -> None:
    clean = make_speech(seed, seconds, RATE)
    other = make_speech(seed + 1, seconds, RATE)
    scores = stoi_scores(clean, other, RATE)
    if scores.status == "too-short":
        assert scores.frames < 8
        return
    assert scores.stoi is not None
    assert scores.estoi is not None
    assert -1.0 <= scores.stoi <= 1.0
    assert -1.0 <= scores.estoi <= 1.0
    assert stoi_scores(clean, other, RATE) == scores
    louder = stoi_scores(clean, gain * other, RATE)
    assert louder.stoi == pytest.approx(scores.stoi, abs=1e-6)
    assert louder.estoi == pytest.approx(scores.estoi, abs=1e-6)
    same = stoi_scores(clean, clean, RATE)
    assert same.stoi == pytest.approx(1.0)
    assert same.estoi == pytest.approx(1.0)


@given(seed=seeds, zeros=st.integers(0, 8000))
@settings(max_examples=15, deadline=None)
def test_zeros_after_a_pause_change_nothing(make_speech: Any, seed: int, zeros: int) -> None:
    clean = np.pad(make_speech(seed, 0.8, RATE), (0, 2000))
    other = np.pad(make_speech(seed + 1, 0.8, RATE), (0, 2000))
    scores = stoi_scores(clean, other, RATE)
    padded = stoi_scores(np.pad(clean, (0, zeros)), np.pad(other, (0, zeros)), RATE)
    assert padded.frames == scores.frames
    assert padded.stoi == pytest.approx(scores.stoi, abs=1e-9)
    assert padded.estoi == pytest.approx(scores.estoi, abs=1e-9)


def test_short_clips_are_scored_where_pystoi_is_not(make_speech: Any) -> None:
    clean = np.pad(make_speech(3, 0.3, RATE), (0, 3000))
    scores = stoi_scores(clean, clean, RATE)
    assert 8 <= scores.frames < 30
    assert not scores.strict
    assert scores.stoi == pytest.approx(1.0)
    with pytest.warns(RuntimeWarning, match="Not enough STFT frames"):
        assert pystoi.stoi(clean, clean, RATE) == 1e-5


@pytest.mark.parametrize("samples", [0, 1, 300, 450, 1200])
def test_too_short(samples: int) -> None:
    noise = np.random.default_rng(0).standard_normal(samples)
    scores = stoi_scores(noise, noise, RATE)
    assert scores.status == ("too-short" if samples else "reference-unscorable")
    assert scores.frames < 8
    assert (scores.stoi, scores.estoi) == (None, None)


def test_failures_keep_the_number_of_frames(make_speech: Any) -> None:
    """The strict mean needs to know which failed items it covers."""
    clean = make_speech(4, 1.0, RATE)
    frames = stoi_scores(clean, clean, RATE).frames
    assert frames >= 30
    broken = clean.copy()
    broken[100] = np.nan
    assert stoi_scores(clean, np.zeros_like(clean), RATE) == StoiScores(frames, None, None, "silent")
    assert stoi_scores(clean, broken, RATE) == StoiScores(frames, None, None, "non-finite")


def test_unscorable_references(make_speech: Any) -> None:
    clean = make_speech(4, 1.0, RATE)
    failed = StoiScores(0, None, None, "reference-unscorable")
    assert stoi_scores(np.zeros_like(clean), clean, RATE) == failed
    assert stoi_scores(np.full_like(clean, np.inf), clean, RATE) == failed


def test_output_silent_only_where_the_reference_speaks() -> None:
    clean, output = np.zeros(16_000), np.zeros(16_000)
    clean[:8000] = np.random.default_rng(5).standard_normal(8000)
    output[9000:] = 1.0
    scores = stoi_scores(clean, output, RATE)
    assert scores.status == "ok"
    assert scores.stoi == pytest.approx(0.0, abs=0.05)
    assert scores.estoi == pytest.approx(0.0, abs=0.05)


def test_a_prepared_reference_gives_the_same(make_speech: Any) -> None:
    clean, other = make_speech(6, 1.0, RATE), make_speech(7, 1.0, RATE)
    prepared = prepare(clean, RATE)
    assert stoi_scores(prepared, other, RATE) == stoi_scores(clean, other, RATE)
    assert stoi_scores(prepared, prepare(other, RATE), RATE) == stoi_scores(clean, other, RATE)
    with pytest.raises(ValueError, match="prepared at"):
        stoi_scores(prepared, other, 22_050)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="one length"):
        stoi_scores(np.ones(5000), np.ones(5001), RATE)
    with pytest.raises(ValueError, match="samples"):
        stoi_scores(np.ones((2, 5000)), np.ones((2, 5000)), RATE)
