"""Real spoken digits for tests: a seeded sample of the free-spoken-digit-dataset, at 16 kHz."""

from __future__ import annotations

import zipfile

import numpy as np
from numpy.typing import NDArray

from tests.conftest import shared
from xmbench.media import audio

RATE_HZ = 16_000


def real_digits(count: int, seed: int) -> list[NDArray[np.float32]]:
    """`count` recordings, float32 (T,) at 16 kHz; skips the test where they are not there."""
    with zipfile.ZipFile(shared("data", "fsdd", "fsdd_flac.zip")) as packed:
        names = sorted(name for name in packed.namelist() if name.endswith(".flac"))
        chosen = np.random.default_rng(seed).choice(len(names), count, replace=False)
        decoded = [audio.decode(packed.read(names[i])) for i in sorted(chosen)]
    return [audio.resample(np.ascontiguousarray(samples[:, 0]), rate, RATE_HZ) for samples, rate in decoded]
