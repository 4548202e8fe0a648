"""Small pictures of sounds: a tone is where it should be."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from xmbench.views.figures import mel_spectrogram_png, spectrogram_png

RATE = 16_000


def tone(frequency_hz: float, seconds: float = 0.5) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


def loudest_row(png: bytes) -> float:
    """Height of the brightest row above the bottom, 0..1."""
    with Image.open(io.BytesIO(png)) as picture:
        grey = np.asarray(picture.convert("L"), dtype=float)
    return 1 - (int(grey[:, 5:-5].mean(axis=1).argmax()) + 0.5) / len(grey)


@pytest.mark.parametrize("frequency_hz", [300.0, 1000.0, 3000.0, 6000.0])
def test_a_tone_is_drawn_at_its_frequency(frequency_hz: float) -> None:
    mel = np.log10(1 + frequency_hz / 700) / np.log10(1 + RATE / 2 / 700)
    assert loudest_row(mel_spectrogram_png(tone(frequency_hz), RATE)) == pytest.approx(mel, abs=0.03)
    assert loudest_row(spectrogram_png(tone(frequency_hz), RATE)) == pytest.approx(2 * frequency_hz / RATE, abs=0.02)


def test_silence_is_black_and_short_clips_are_drawn() -> None:
    with Image.open(io.BytesIO(mel_spectrogram_png(np.zeros(8000, dtype=np.float32), RATE, height_px=32))) as picture:
        assert picture.height == 32
        assert np.asarray(picture.convert("RGB")).max() <= 4
    assert mel_spectrogram_png(np.ones(3, dtype=np.float32), RATE).startswith(b"\x89PNG")
