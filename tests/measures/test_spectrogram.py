"""The auditory spectrogram against naplib, against its plain definition, and by properties."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import lfilter

from xmbench.measures.auditory_spectrogram import CHANNELS, auditory_spectrogram, cochlear_filters
from xmbench.measures.corr2d import compress, correlation2d

Floats = NDArray[np.float64]
VECTORS = Path(__file__).with_name("naplib_spectrograms.npz")
seeds = st.integers(0, 2**32 - 1)


def plain(x: Floats) -> Floats:
    """The definition, filter by filter and sample by sample."""
    frames = -(-len(x) // 160)
    x = np.pad(x, (0, frames * 160 - len(x)))
    filtered = [lfilter(b, a, x) for b, a in cochlear_filters()]
    columns = []
    for low, high in itertools.pairwise(filtered):
        smooth = lfilter([1.0], [1.0, -np.exp(-1 / 160)], np.maximum(low - high, 0.0))
        columns.append(smooth[159::160])
    return np.stack(columns, axis=1)


def fixture_signals() -> dict[str, Floats]:
    n = np.arange(2400.0)
    return {
        "impulse": np.eye(1, 161)[0],
        "sweep": 0.5 * np.sin(2 * np.pi * (150 * n + 1.5 * n * n) / 16_000)[:1000] + 0.05,
        "rough": 0.3 * np.sin(0.37 * n * n) * np.sin(0.004 * n) ** 2,
    }


@pytest.mark.parametrize("name", ["impulse", "sweep", "rough"])
def test_equals_naplib_on_stored_vectors(name: str) -> None:
    with np.load(VECTORS) as arrays:
        expected = arrays[name]
    ours = auditory_spectrogram(fixture_signals()[name])
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-7 * expected.max())


def test_equals_naplib_on_real_digits(speech_pairs: list[Any]) -> None:
    checked = [pair for pair in speech_pairs if pair.spectrogram is not None]
    assert len(checked) == 6
    for pair in checked:
        ours = auditory_spectrogram(pair.reference)
        assert ours.shape == pair.spectrogram.shape
        np.testing.assert_allclose(ours, pair.spectrogram, rtol=1e-3, atol=1e-7 * pair.spectrogram.max())


@pytest.mark.parametrize(("key", "power"), [("corr2d", 0.3), ("corr2d_linear", 1.0)])
def test_corr2d_of_the_reference_pairs(speech_pairs: list[Any], key: str, power: float) -> None:
    for pair in speech_pairs:
        a, b = (compress(auditory_spectrogram(x), power) for x in (pair.reference, pair.output))
        ours = correlation2d(a, b)
        assert ours is not None
        assert ours == pytest.approx(pair.expected[key], abs=5e-5), pair.expected["id"]


@pytest.mark.parametrize("samples", [1, 159, 160, 161, 5000, 60_001])
@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_equals_the_plain_definition(samples: int, offset: float) -> None:
    """Includes partial frames, pieces of long waveforms and the slow answer to a constant offset."""
    x = 0.1 * np.random.default_rng(samples).standard_normal(samples) + offset
    expected = plain(x)
    np.testing.assert_allclose(auditory_spectrogram(x), expected, rtol=1e-5, atol=1e-9 * expected.max())


def test_digital_silence_after_sound_stays_silent() -> None:
    """With single-precision transforms, rounding here would move corr2d by 0.006."""
    x = np.zeros(13_000)
    x[:4000] = np.random.default_rng(1).standard_normal(4000)
    expected = plain(x)
    np.testing.assert_allclose(
        compress(auditory_spectrogram(x)), compress(expected), atol=3e-3 * compress(expected).max()
    )


def test_long_silence_is_followed_down() -> None:
    """The fastest channels come to the subnormal numbers, where the states are cut off, after 0.6 s."""
    x = np.zeros(48_000)
    x[:1600] = np.random.default_rng(2).standard_normal(1600)
    last = auditory_spectrogram(x)[-1]
    np.testing.assert_allclose(last, plain(x)[-1], rtol=1e-4, atol=1e-60)


def test_filters_are_the_published_ones() -> None:
    filters = cochlear_filters()
    assert len(filters) == CHANNELS + 1
    assert {len(b) == len(a) for b, a in filters} == {True}
    n = np.arange(16_000)
    for channel in (20, 63, 110):
        centre_hz = 440.0 * 2.0 ** ((channel - 31) / 24)
        tone = auditory_spectrogram(np.sin(2 * np.pi * centre_hz * n / 16_000))
        assert abs(int(tone[-1].argmax()) - channel) <= 3


@given(seed=seeds, samples=st.integers(200, 4000), cut=st.integers(1, 12))
@settings(max_examples=15, deadline=None)
def test_is_causal_non_negative_and_finite(seed: int, samples: int, cut: int) -> None:
    x = np.random.default_rng(seed).standard_normal(samples)
    whole = auditory_spectrogram(x)
    start = auditory_spectrogram(x[: cut * 160])
    full_frames = min(len(x) // 160, len(start))
    assert np.isfinite(whole).all()
    assert (whole >= 0).all()
    np.testing.assert_allclose(whole[:full_frames], start[:full_frames], rtol=1e-9, atol=1e-10 * whole.max())


@given(seed=seeds, zeros=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_trailing_zeros_add_frames_only(seed: int, zeros: int) -> None:
    x = np.random.default_rng(seed).standard_normal(1600)
    longer = auditory_spectrogram(np.pad(x, (0, zeros)))
    assert longer.shape == (-(-(1600 + zeros) // 160), CHANNELS)
    np.testing.assert_allclose(longer[:10], auditory_spectrogram(x), rtol=1e-9, atol=1e-10 * longer.max())


def test_correlation_by_hand() -> None:
    assert correlation2d([1, 2, 3], [1, 2, 4]) == pytest.approx(3 / np.sqrt(28 / 3))
    assert correlation2d([[0, 1], [0, 1]], [[1, 0], [1, 0]]) == -1.0
    assert correlation2d([[0, 1], [0, 1]], [[0, 0], [1, 1]]) == pytest.approx(0.0, abs=1e-15)


@given(seed=seeds, gain=st.floats(1e-6, 1e6), shape=st.tuples(st.integers(1, 9), st.integers(2, 9)))
@settings(max_examples=50, deadline=None)
def test_correlation_properties(seed: int, gain: float, shape: tuple[int, int]) -> None:
    a, b = np.random.default_rng(seed).random((2, *shape))
    value = correlation2d(a, b)
    assert value is not None
    assert -1.0 <= value <= 1.0
    assert value == correlation2d(b, a)
    assert correlation2d(gain * a, b) == pytest.approx(value, abs=1e-9)
    assert correlation2d(a, a) == pytest.approx(1.0)
    assert value == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-9)


@given(seed=seeds, gain=st.floats(1e-4, 1e4))
@settings(max_examples=10, deadline=None)
def test_corr2d_does_not_see_a_gain(seed: int, gain: float) -> None:
    x, y = np.random.default_rng(seed).standard_normal((2, 2000))
    reference = compress(auditory_spectrogram(x))
    quiet, loud = (compress(auditory_spectrogram(signal)) for signal in (y, gain * y))
    assert correlation2d(reference, quiet) == pytest.approx(correlation2d(reference, loud), abs=1e-6)


@pytest.mark.parametrize("level", [0.0, 1.0, 0.1, 1e-200])
def test_constant_input_has_no_correlation(level: float) -> None:
    ramp = np.arange(12.0).reshape(3, 4)
    assert correlation2d(np.full((3, 4), level), ramp) is None
    assert correlation2d(ramp, np.full((3, 4), level)) is None


def test_very_quiet_input_still_has_one() -> None:
    ramp = np.arange(12.0)
    assert correlation2d(1e-200 * ramp, ramp) == pytest.approx(1.0)


def test_silence_gives_a_spectrogram_of_zeros() -> None:
    silence = auditory_spectrogram(np.zeros(500))
    assert silence.shape == (4, CHANNELS)
    assert not silence.any()


def test_compress_takes_the_power() -> None:
    np.testing.assert_allclose(compress([0.0, 1.0, 2.0]), [0.0, 1.0, 2.0**0.3])
    np.testing.assert_array_equal(compress([0.0, 4.0], 1.0), [0.0, 4.0])


@pytest.mark.parametrize("bad", [np.zeros(0), np.zeros((2, 100)), [0.0, np.nan], [np.inf]])
def test_unusable_waveforms_are_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="finite samples"):
        auditory_spectrogram(bad)


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([], [])])
def test_correlation_needs_one_shape(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="one shape"):
        correlation2d(a, b)
