"""Sounds for the test of the rejection that are made here: noise, hum, silence, several instruments at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.judges.instrument_sounds.features import RATE_HZ, SAMPLES, loudest
from xmbench.judges.labelled import Items, Material
from xmbench.media.audio import resample
from xmbench.media.signal import Sound

_COUNT = 100  # of each kind, and no more than there are test items
_SEED = 97


def add_unplayed(material: Material) -> None:
    """Adds to the tests of the rejection: noise, hum, silence, and what is made of the tests' instruments."""
    rng = np.random.default_rng(_SEED)
    none = len(material.class_names)
    waves, labels = _of(material.tests)
    count = min(_COUNT, len(waves))
    kinds = {
        "noise": [_noise(rng, coloured=number % 2 == 1) for number in range(count)],
        "hum": [_hum(rng) for _ in range(count)],
        "silence": [np.zeros(SAMPLES)],
    }
    if len(set(labels)) > 1:
        kinds["two instruments at once"] = [_mixture(rng, waves, labels) for _ in range(count)]
        kinds["noise with an instrument's spectrum"] = [_imprinted(rng, waves) for _ in range(count)]
    for kind, sounds in kinds.items():
        for sound in sounds:
            material.none[kind].add(Sound(np.asarray(sound, np.float32), RATE_HZ), none, kind)


def _of(tests: dict[str, Items]) -> tuple[list[NDArray[np.float32]], list[int]]:
    waves, labels = [], []
    for items in tests.values():
        for media, label, _ in items:
            if isinstance(media, Sound):
                waves.append(loudest(resample(media.samples, media.sample_rate_hz, RATE_HZ)))
                labels.append(label)
    return waves, labels


def _noise(rng: np.random.Generator, *, coloured: bool) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(rng.normal(size=SAMPLES))
    if coloured:
        spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** rng.uniform(0.1, 1.0)
    noise = np.fft.irfft(spectrum, SAMPLES)
    return np.asarray(0.5 * noise / np.abs(noise).max())


def _hum(rng: np.random.Generator) -> NDArray[np.float64]:
    time = np.arange(SAMPLES) / RATE_HZ
    partials = rng.integers(1, 9)
    mains = rng.choice([50.0, 60.0])
    found = sum(rng.uniform(0.05, 1) / n * np.sin(2 * np.pi * mains * n * time) for n in range(1, partials + 1))
    return np.asarray(0.3 * found + 1e-3 * rng.normal(size=SAMPLES))


def _mixture(rng: np.random.Generator, waves: list[NDArray[np.float32]], labels: list[int]) -> NDArray[np.float64]:
    """Two instruments of different classes at the same level."""
    one = int(rng.integers(len(waves)))
    two = int(rng.choice(np.flatnonzero(np.asarray(labels) != labels[one])))
    parts = [wave / max(float(np.sqrt(np.square(wave).mean())), 1e-9) for wave in (waves[one], waves[two])]
    return np.asarray(0.1 * (parts[0] + parts[1]), np.float64)


def _imprinted(rng: np.random.Generator, waves: list[NDArray[np.float32]]) -> NDArray[np.float64]:
    spectrum = np.abs(np.fft.rfft(waves[rng.integers(len(waves))]))
    smooth = np.convolve(spectrum, np.ones(200) / 200, "same")
    noise = np.fft.irfft(smooth * np.exp(2j * np.pi * rng.random(len(smooth))), SAMPLES)
    return np.asarray(0.5 * noise / max(np.abs(noise).max(), 1e-9))
