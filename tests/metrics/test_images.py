"""SSIM and PSNR: equal to sums written out by hand, with the properties that their papers state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xmbench import registry
from xmbench.interfaces import AudioFormat, ImageFormat, Pair, ScoringContext, Task
from xmbench.media.signal import Picture

CONTEXT = ScoringContext(Task(("0", "1"), (), ImageFormat(28, 28, 1), AudioFormat(8000, 800, 0.0, 0.1)))
NAMES = ("ssim", "psnr")


def drawn(seed: int, channels: int = 1, size: int = 28) -> NDArray[np.uint8]:
    """Smooth strokes on black, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    shape = np.sin(rng.uniform(2, 9) * x + rng.uniform(2, 9) * y)[:, :, None] * rng.uniform(0.5, 1, channels)
    pixels: NDArray[np.float64] = 180 * shape + rng.normal(0, 12, (size, size, channels))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def value(name: str, output: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    (state,) = registry.metric(name).prepare([Pair("a", 0, Picture(output), Picture(reference))], CONTEXT)
    assert state.state is not None
    return float(state.state[0])


def ssim_by_hand(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Equation 13 of the paper, window by window, with centred sums instead of differences of means of squares."""
    weights = np.array([[np.exp(-(i**2 + j**2) / 4.5) for j in range(-5, 6)] for i in range(-5, 6)])
    weights /= weights.sum()
    c1, c2 = 6.5025, 58.5225
    found = []
    for channel in range(a.shape[2]):
        for y in range(a.shape[0] - 10):
            for x in range(a.shape[1] - 10):
                p, q = (image[y : y + 11, x : x + 11, channel].astype(float) for image in (a, b))
                mp, mq = (weights * p).sum(), (weights * q).sum()
                vp, vq = (weights * (p - mp) ** 2).sum(), (weights * (q - mq) ** 2).sum()
                cov = (weights * (p - mp) * (q - mq)).sum()
                found.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return float(np.mean(found))


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 20), (1, 11)])
def test_ssim_equals_the_sums_written_out(channels: int, size: int) -> None:
    for seed in range(3):
        a, b = drawn(seed, channels, size), drawn(seed + 10, channels, size)
        assert value("ssim", a, b) == pytest.approx(ssim_by_hand(a, b), abs=1e-10)


def test_ssim_of_known_images() -> None:
    black, white = np.zeros((28, 28, 1), np.uint8), np.full((28, 28, 1), 255, np.uint8)
    assert value("ssim", black, white) == pytest.approx(6.5025 / (255.0**2 + 6.5025))  # no structure on either side
    image = drawn(1)
    assert value("ssim", 255 - image, image) < 0


def test_psnr_by_hand() -> None:
    image = drawn(2)
    other = image.copy()
    other[0, 0, 0] = image[0, 0, 0] + 10 if image[0, 0, 0] < 200 else image[0, 0, 0] - 10
    assert value("psnr", other, image) == pytest.approx(10 * np.log10(255**2 / (100 / 784)))
    assert value("psnr", image, image) == 100.0
    assert value("psnr", np.zeros((28, 28, 1), np.uint8), np.full((28, 28, 1), 255, np.uint8)) == 0.0
    other[0, 0, 0] = image[0, 0, 0] ^ 1
    assert value("psnr", other, image) == pytest.approx(48.1308 + 10 * np.log10(784), abs=1e-3)  # below the cut


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from([1, 3]))
def test_symmetry_bounds_and_identity(a: int, b: int, channels: int) -> None:
    first, second = drawn(a, channels), drawn(b, channels)
    for name in NAMES:
        metric = registry.metric(name)
        assert value(name, first, second) == pytest.approx(value(name, second, first), abs=1e-9)
        assert metric.low <= value(name, first, second) <= metric.high
        assert value(name, first, first) == pytest.approx(metric.high)


@pytest.mark.parametrize("name", NAMES)
def test_more_noise_scores_lower(name: str) -> None:
    image = drawn(3)
    noise = np.random.default_rng(0).normal(0, 1, image.shape)
    levels = [value(name, np.clip(image + width * noise, 0, 255).astype(np.uint8), image) for width in (2, 8, 30, 90)]
    assert levels == sorted(levels, reverse=True)


def test_an_image_below_the_window_has_a_status() -> None:
    tiny = Picture(np.zeros((8, 28, 1), np.uint8))
    (state,) = registry.metric("ssim").prepare([Pair("a", 0, tiny, tiny)], CONTEXT)
    assert (state.status, state.state) == ("reference-unscorable", None)
    assert "11 pixels" in state.detail
