"""Inputs of the examples in the metrics' docstrings: small sounds and images that are easy to reproduce."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from xmbench.interfaces import AudioFormat, ClassReferences, ImageFormat, Pair, ScoringContext, Task
from xmbench.media.signal import Picture, Sound

RATE_HZ = 16_000


def buzz(pitch_hz: float = 150.0) -> Sound:
    """One second at 16 kHz: two harmonics, switched on three times."""
    t = np.arange(RATE_HZ) / RATE_HZ
    tone = np.sin(2 * np.pi * pitch_hz * t) + np.sin(6 * np.pi * pitch_hz * t)
    return Sound((0.2 * tone * (np.sin(6 * np.pi * t) > 0)).astype(np.float32), RATE_HZ)


def noisy_buzz() -> Pair:
    """The buzz as the reference, the buzz in white noise as the output."""
    noise = np.random.default_rng(0).normal(0.0, 0.005, RATE_HZ).astype(np.float32)
    return Pair("example", 0, Sound(buzz().samples + noise, RATE_HZ), buzz())


@contextmanager
def takes() -> Iterator[ScoringContext]:
    """Three takes of the buzz as the references of one class, of pitches 150, 151 and 300 Hz."""
    clips = np.stack([(buzz(pitch).samples * 32767).astype(np.int16) for pitch in (150.0, 151.0, 300.0)])
    task = Task(("buzz",), (), ImageFormat(1, 1, 1), AudioFormat(RATE_HZ, RATE_HZ, 0.0, 1.0))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "references.npy"
        np.save(file, clips)
        yield ScoringContext(task, references=ClassReferences(file, (0, 0, 0), RATE_HZ))


def brighter_ramp() -> Pair:
    """A ramp of 16 x 16 grey values 0..240 as the reference, the same 5 values brighter as the output."""
    ramp = np.add.outer(np.arange(16), np.arange(16)).astype(np.uint8)[:, :, None] * np.uint8(8)
    return Pair("example", 0, Picture(ramp + np.uint8(5)), Picture(ramp))
