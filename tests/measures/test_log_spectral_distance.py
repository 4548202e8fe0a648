"""Log-spectral distance: the definition bin by bin, hand-computed values, and what it must not depend on."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT

from xmbench import registry
from xmbench.interfaces import AudioFormat, ImageFormat, Pair, ScoringContext, Task
from xmbench.measures.log_spectral_distance import FLOOR_DB, MOST_DB, log_spectral_distance, log_spectrum
from xmbench.media.signal import Sound

TASK = Task(("horn",), (), ImageFormat(64, 64, 3), AudioFormat(44_100, 22_050, 0.49, 0.501))
seeds = st.integers(0, 10_000)


def noise(seed: int, samples: int = 6_000, level: float = 0.1) -> NDArray[np.float64]:
    """Loud at every frequency, so that hardly a bin is near the floor."""
    return np.random.default_rng(seed).normal(0.0, level, samples)


def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return log_spectral_distance(log_spectrum(a), log_spectrum(b))


def test_one_bin_is_the_definition() -> None:
    x = noise(1)
    frame, k = 5, 100
    window = [0.5 - 0.5 * math.cos(2 * math.pi * n / 2048) for n in range(2048)]
    part = x[frame * 512 - 1024 : frame * 512 + 1024]
    found = sum(
        w * v * cmath.exp(-2j * math.pi * k * n / 2048) for n, (w, v) in enumerate(zip(window, part, strict=True))
    )
    assert log_spectrum(x)[frame, k] == pytest.approx(20 * math.log10(abs(found) / (sum(window) / 2)), abs=1e-8)


def test_the_spectrum_is_scipys() -> None:
    x = noise(2)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    theirs = np.abs(ShortTimeFFT(window, 512, 44_100).stft(x, p0=0, p1=1 + len(x) // 512)).T / (window.sum() / 2)
    np.testing.assert_allclose(log_spectrum(x), 20 * np.log10(np.maximum(theirs, 1e-5)), atol=1e-8)


def test_half_a_second_has_44_frames_and_a_full_sinusoid_0_db() -> None:
    found = log_spectrum(np.sin(2 * np.pi * 93 / 2048 * np.arange(22_050)))
    assert found.shape == (44, 1025)
    assert found[20].argmax() == 93
    assert found[20].max() == pytest.approx(0.0, abs=1e-6)
    assert log_spectrum(np.zeros(5)).tolist() == [[FLOOR_DB] * 1025]


def test_bounds_are_reached() -> None:
    assert log_spectrum(np.ones(4096)).max() == pytest.approx(MOST_DB + FLOOR_DB)
    assert log_spectral_distance([[MOST_DB + FLOOR_DB]], [[FLOOR_DB]]) == pytest.approx(MOST_DB)


@settings(max_examples=10, deadline=None)
@given(seeds, st.floats(0.2, 5.0))
def test_a_gain_is_its_own_distance(seed: int, gain: float) -> None:
    assert distance(noise(seed), gain * noise(seed)) == pytest.approx(abs(20 * math.log10(gain)), abs=0.02)


@settings(max_examples=10, deadline=None)
@given(seeds, seeds)
def test_it_is_symmetric_and_zero_only_for_equal_spectra(seed: int, other: int) -> None:
    a, b = noise(seed), noise(other)
    assert distance(a, b) == distance(b, a) <= MOST_DB
    assert (distance(a, b) == 0.0) == (seed == other)
    assert distance(a, -a) == 0.0  # phases do not count


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_more_noise_is_farther(seed: int) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 / 44_100 * np.arange(6_000))
    found = [distance(tone, tone + noise(seed, level=level)) for level in (0.0, 1e-4, 1e-3, 1e-2, 1e-1)]
    assert found == sorted(found)


@pytest.mark.parametrize("samples", [np.zeros((2, 3)), np.zeros(0)])
def test_no_sound_is_an_error(samples: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="samples"):
        log_spectrum(samples)


def test_spectra_of_two_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="one shape"):
        log_spectral_distance(np.zeros((2, 3)), np.zeros((3, 3)))


def test_the_metric_is_the_mean_and_a_failed_item_counts_the_most() -> None:
    metric = registry.metric("log-spectral-distance")
    x = noise(3, 22_050).astype(np.float32)
    pairs = [Pair(str(i), 0, Sound(x * np.float32(gain), 44_100), Sound(x, 44_100)) for i, gain in enumerate((1, 0.5))]
    states = [state.state for state in metric.prepare(pairs, ScoringContext(TASK))]
    assert states[0] is not None
    assert states[1] is not None
    table = np.stack([states[0], states[1], np.array([metric.floor])])
    (score,) = metric.reduce(table, np.ones((1, 3)))
    assert score == pytest.approx((0.0 + 6.0206 + 106.0206) / 3, abs=1e-3)
