"""Signals that the tests of the speech functions share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Floats = NDArray[np.float64]
REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "metrics"


@dataclass(frozen=True)
class SpeechPair:
    """Two real digits at 16 kHz, scores of other libraries and, for some, the auditory spectrogram."""

    reference: Floats
    output: Floats
    expected: dict[str, Any]
    spectrogram: Floats | None


@pytest.fixture(scope="session")
def speech_pairs() -> list[SpeechPair]:
    """The 36 reference pairs (pesq 0.0.4, pystoi 0.4.1, naplib 2.6.0)."""
    if not (REFERENCE / "speech_pairs.npz").is_file():
        pytest.skip("the reference pairs are not part of the repository and were not found")
    rows = json.loads((REFERENCE / "speech_pairs.json").read_text(encoding="utf-8"))
    with np.load(REFERENCE / "speech_pairs.npz") as arrays:
        return [
            SpeechPair(
                arrays[f"ref_{row['id']:03d}"], arrays[f"deg_{row['id']:03d}"], row, arrays.get(f"aud_{row['id']:03d}")
            )
            for row in rows
        ]


def speech_like(seed: int, seconds: float = 2.0, sample_rate_hz: int = 16_000) -> Floats:
    """Coloured noise in syllables, four a second, with pauses: what STOI and PESQ take for speech."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * sample_rate_hz)) / sample_rate_hz
    noise = rng.standard_normal(len(time) + 40)
    coloured = np.convolve(noise, np.exp(-np.arange(41) / 8.0), mode="valid")[: len(time)]
    envelope = np.clip(np.sin(2 * np.pi * 4.0 * time + rng.uniform(0, 6)), 0.0, None)
    return np.asarray(0.1 * coloured * envelope, dtype=np.float64)


@pytest.fixture(scope="session")
def make_speech() -> Any:
    """The function `speech_like(seed, seconds, sample_rate_hz)`."""
    return speech_like
