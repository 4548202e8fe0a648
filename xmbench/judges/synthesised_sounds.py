"""Sounds that are not speech, synthesised: notes, chords, bells, plucked strings, drums, chirps, ticks, engines, hiss.

A judge hears them as "none" in its training: of words all of them, of instruments those that no instrument makes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Clip = NDArray[np.float32]
Maker = Callable[[np.random.Generator, int, int], NDArray[np.float64]]


ALL = ("notes", "notes", "chord", "bell", "plucked", "drum", "chirp", "ticks", "engine", "hiss")
NOT_PLAYED = ("chirp", "ticks", "engine", "hiss")


def synthesised(count: int, sample_rate_hz: int, seed: int, kinds: Sequence[str] = ALL) -> list[Clip]:
    """`count` clips of 0.3 to 1 s, float32 (T,), peak 0.6; the same for the same seed.

    Args:
        count: how many.
        sample_rate_hz: of the clips.
        seed: of everything random.
        kinds: of `ALL`, in turn.
    """
    rng = np.random.default_rng([seed, 77])
    makers = [_MAKERS[kind] for kind in kinds]
    found = []
    for number in range(count):
        size = int(sample_rate_hz * rng.uniform(0.3, 1.0))
        sound = makers[number % len(makers)](rng, size, sample_rate_hz)
        if rng.random() < 0.3:  # something else at the same time
            sound = sound + rng.uniform(0.1, 0.6) * makers[rng.integers(len(makers))](rng, size, sample_rate_hz)
        found.append((0.6 * sound / max(np.abs(sound).max(), 1e-9)).astype(np.float32))
    return found


def _unit(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(sound / max(np.abs(sound).max(), 1e-9))


def _shape(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Attack, decay and release."""
    attack, release = rng.uniform(0.005, 0.3), rng.uniform(0.02, 0.5)
    place = np.arange(size) / size
    held = np.exp(-rng.uniform(0.0, 4.0) * place)
    return np.asarray(np.minimum(1.0, place / attack) * np.minimum(1.0, (1 - place) / release) * held)


def _harmonic(rng: np.random.Generator, hz: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Partials of a gliding pitch (T,) with a random spectral slope and one or two fixed resonances."""
    phase = 2 * np.pi * np.cumsum(hz) / rate
    slope, odd = rng.uniform(0.3, 2.0), rng.random() < 0.25
    peaks = rng.uniform(200, 3500, rng.integers(0, 3))
    sound = np.zeros(len(hz))
    for partial in range(1, 1 + int(min(rng.integers(1, 25), 0.45 * rate / hz.max()))):
        if odd and partial % 2 == 0:
            continue
        lifted = 1.0 + sum(4.0 * np.exp(-(((partial * hz.mean() - peak) / 250.0) ** 2)) for peak in peaks)
        sound += lifted * partial**-slope * rng.uniform(0.5, 1.0) * np.sin(partial * phase + rng.uniform(0, 6.28))
    return sound


def _pitch(rng: np.random.Generator, size: int, rate: int) -> NDArray[np.float64]:
    """A note's frequency (T,) in Hz, with vibrato and a slow glide."""
    time = np.arange(size) / rate
    vibrato = rng.uniform(0, 0.015) * np.sin(2 * np.pi * rng.uniform(4, 8) * time + rng.uniform(0, 6.28))
    glide = rng.normal(0, 0.03) * time * rate / size
    return np.asarray(np.exp(rng.uniform(np.log(55), np.log(1500))) * (1 + vibrato + glide))


def _notes(rng: np.random.Generator, size: int, rate: int) -> NDArray[np.float64]:
    """One to four notes after each other."""
    parts = np.diff(np.concatenate([[0], np.sort(rng.integers(1, size, rng.integers(0, 4))), [size]]))
    base = _pitch(rng, size, rate)[0]
    made = []
    for part in parts:
        hz = _pitch(rng, max(int(part), 1), rate)
        made.append(
            _harmonic(rng, hz / hz.mean() * base * 2 ** (rng.integers(-7, 8) / 12), rate) * _shape(rng, len(hz))
        )
    return np.concatenate(made)[:size]


def _chord(rng: np.random.Generator, size: int, rate: int) -> NDArray[np.float64]:
    sounds = (_unit(_harmonic(rng, _pitch(rng, size, rate), rate)) for _ in range(rng.integers(2, 5)))
    return np.asarray(sum(sounds) * _shape(rng, size))


def _bell(rng: np.random.Generator, size: int, rate: int) -> NDArray[np.float64]:
    """Inharmonic partials, each with its own decay."""
    time = np.arange(size) / rate
    tones = zip(rng.uniform(150, 3800, 8), rng.uniform(2, 30, 8), rng.uniform(0.1, 1, 8), strict=True)
    return np.asarray(sum(level * np.exp(-decay * time) * np.sin(2 * np.pi * hz * time) for hz, decay, level in tones))


def _plucked(rng: np.random.Generator, size: int, rate: int) -> NDArray[np.float64]:
    """A string: a harmonic tone that loses its high partials first."""
    time = np.arange(size) / rate
    hz = float(np.exp(rng.uniform(np.log(70), np.log(900))))
    partials = range(1, 1 + int(min(20, 0.45 * rate / hz)))
    decay = rng.uniform(1.0, 6.0)
    return np.asarray(sum(np.exp(-decay * n * time) / n * np.sin(2 * np.pi * n * hz * time) for n in partials))


def _drum(rng: np.random.Generator, size: int, rate: int) -> NDArray[np.float64]:
    """One to five strokes: a falling tone and a burst of noise."""
    sound = np.zeros(size)
    for start in rng.integers(0, max(1, size * 3 // 4), rng.integers(1, 6)):
        time = np.arange(size - start) / rate
        tone = np.sin(2 * np.pi * rng.uniform(50, 300) * time * np.exp(-3 * time)) * np.exp(-rng.uniform(8, 40) * time)
        burst = rng.normal(0, 1, len(time)) * np.exp(-rng.uniform(10, 80) * time)
        sound[start:] += rng.uniform(0.2, 1) * (tone + rng.uniform(0, 1) * burst)
    return sound


def _chirp(rng: np.random.Generator, size: int, rate: int) -> NDArray[np.float64]:
    """A pitch that moves far: sirens, birds, cries."""
    knots = np.exp(rng.uniform(np.log(150), np.log(3500), rng.integers(2, 7)))
    hz = np.interp(np.linspace(0, 1, size), np.linspace(0, 1, len(knots)), knots)
    return np.asarray(_harmonic(rng, hz, rate) * _shape(rng, size))


def _ticks(rng: np.random.Generator, size: int, rate: int) -> NDArray[np.float64]:
    """Clicks that ring, in a regular or irregular row."""
    sound = np.zeros(size)
    ring = np.exp(-np.arange(400) / rng.uniform(10, 120)) * np.sin(np.arange(400) * rng.uniform(0.1, 2.5))
    for start in np.cumsum(rng.uniform(0.03, 0.3) * rate * rng.uniform(0.6, 1.4, 40)).astype(int):
        part = sound[start : start + 400]
        part += rng.uniform(0.3, 1) * ring[: len(part)]
    return sound + 1e-3 * rng.normal(0, 1, size)


def _engine(rng: np.random.Generator, size: int, rate: int) -> NDArray[np.float64]:
    """A low pulse train, uneven, with noise."""
    hz = np.full(size, rng.uniform(25, 120)) * (1 + 0.05 * np.sin(np.arange(size) / rate * rng.uniform(2, 20)))
    return _unit(_harmonic(rng, hz, rate)) + rng.uniform(0.05, 0.6) * _unit(_hiss(rng, size, rate))


def _hiss(rng: np.random.Generator, size: int, rate: int) -> NDArray[np.float64]:
    """Coloured noise that swells: rain, waves, breath, fire."""
    spectrum = np.fft.rfft(rng.normal(0, 1, size))
    hz = np.linspace(0, rate / 2, len(spectrum))
    knots = rng.normal(0, 12, 8)
    spectrum *= 10 ** (np.interp(hz, np.geomspace(60, rate / 2, 8), knots) / 20)
    swell = np.exp(np.interp(np.arange(size), np.linspace(0, size, 6), rng.normal(0, 0.8, 6)))
    return np.asarray(np.fft.irfft(spectrum, size) * swell)


_MAKERS: dict[str, Maker] = {
    "notes": _notes,
    "chord": _chord,
    "bell": _bell,
    "plucked": _plucked,
    "drum": _drum,
    "chirp": _chirp,
    "ticks": _ticks,
    "engine": _engine,
    "hiss": _hiss,
}
