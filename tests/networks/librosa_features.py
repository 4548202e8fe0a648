"""Makes `librosa_features.npz`: the five features of one sound by librosa, in an environment of its own.

``pip install librosa soundfile numpy`` there, then ``python tests/networks/librosa_features.py`` (no xmbench needed).
The sound is made of numbers, so that the file holds nothing but values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_name("librosa_features.npz")
RATE_HZ = 44_100
SAMPLES = 22_050
KEPT = slice(None, None, 4)  # frames that are stored


def played() -> NDArray[np.float32]:
    """Half a second of a bowed tone: harmonics of A2 with vibrato and an attack, and breath."""
    t = np.arange(SAMPLES) / RATE_HZ
    phase = 2 * np.pi * 110.0 * t + 0.3 * np.sin(2 * np.pi * 6 * t)
    tone = sum(np.sin(k * phase + k) / k for k in range(1, 30))
    noise = np.random.default_rng(3).normal(0.0, 0.003, SAMPLES)
    return (0.1 * tone * np.minimum(1.0, t / 0.08) + noise).astype(np.float32)


def main() -> None:
    """Writes the file."""
    import librosa  # type: ignore[import-not-found,unused-ignore]

    wave = played()
    frames = {"n_fft": 2048, "hop_length": 512, "pad_mode": "reflect"}
    mel = librosa.feature.melspectrogram(y=wave, sr=RATE_HZ, power=1.0, n_mels=128, **frames)
    found = {
        "stft": np.abs(librosa.stft(wave, **frames)),
        "mel": mel,
        "log-mel": librosa.amplitude_to_db(mel, ref=1.0, amin=1e-10, top_db=None),
        "mfcc": librosa.feature.mfcc(y=wave, sr=RATE_HZ, n_mfcc=20, n_mels=128, **frames),
        "cqt": np.abs(librosa.cqt(wave, sr=RATE_HZ, hop_length=512, n_bins=84, bins_per_octave=12)),
    }
    shapes: dict[str, Any] = {f"{name}-shape": np.array(values.shape) for name, values in found.items()}
    kept: dict[str, Any] = {name: values[:, KEPT].astype(np.float32) for name, values in found.items()}
    np.savez_compressed(FILE, **kept | shapes, version=np.array(librosa.__version__))


if __name__ == "__main__":
    main()
