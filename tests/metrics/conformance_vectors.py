"""Makes the conformance vectors that `xmbench doctor` replays: digits spoken by eSpeak NG, scored by other libraries.

Two steps, because the libraries of the second one need another numpy than xmbench:

1. ``python tests/metrics/conformance_vectors.py speak`` (with xmbench) writes `xmbench/conformance/*.flac`;
2. ``python tests/metrics/conformance_vectors.py score`` (with pesq, pystoi, naplib, soundfile; no xmbench) writes
   `xmbench/conformance/pairs.json`.

The output of eSpeak NG is in the public domain (CC0), so the vectors may ship with the package.
"""

from __future__ import annotations

import argparse
import json
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parents[2] / "xmbench" / "conformance" / "vectors"
RATE_HZ = 16_000
PAIRS = (
    ("identity", "seven", "seven"),
    ("noise-20-db", "seven", "seven-noise-20-db"),
    ("noise-5-db", "seven", "seven-noise-5-db"),
    ("low-pass", "seven", "seven-low-pass"),
    ("other-word", "seven", "three"),
    ("other-voice", "three", "three-other-voice"),
    ("short-noise", "two", "two-noise"),
    ("short-other-word", "two", "three"),
)


def speak() -> None:
    """Speaks the words, makes the degraded versions, writes 16-bit flac files at 16 kHz."""
    from scipy.signal import butter, sosfilt

    from xmbench.engines.espeak_ng import ENGINE
    from xmbench.media import audio

    def spoken(word: str, voice: str, rate: int) -> Any:
        raw = ENGINE.speak(word, voice, rate, 50)
        trimmed = audio.trim_silence(raw, ENGINE.facts.sample_rate_hz)
        return audio.resample(audio.to_float(trimmed), ENGINE.facts.sample_rate_hz, RATE_HZ).astype(np.float64)

    def noisy(clean: Any, level_db: float, seed: int) -> Any:
        noise = np.random.default_rng(seed).normal(size=len(clean))
        power = np.mean(clean**2) / 10 ** (level_db / 10)
        return clean + noise * math.sqrt(power / np.mean(noise**2))

    seven, three, two = (
        0.5 * spoken(*job) for job in (("seven", "en-us", 110), ("three", "en-us", 110), ("two", "en-us", 140))
    )
    clips = {
        "seven": seven,
        "seven-noise-20-db": noisy(seven, 20, 1),
        "seven-noise-5-db": noisy(seven, 5, 2),
        "seven-low-pass": sosfilt(butter(4, 1000, fs=RATE_HZ, output="sos"), seven),
        "three": three,
        "three-other-voice": 0.5 * spoken("three", "en-us+f1", 110),
        "two": two,
        "two-noise": noisy(two, 15, 3),
    }
    FOLDER.mkdir(exist_ok=True)
    for name, samples in clips.items():
        data = audio.encode_flac(audio.to_int16(samples), RATE_HZ)
        (FOLDER / f"{name}.flac").write_bytes(data)
        print(f"{name}: {len(samples) / RATE_HZ:.3f} s, {len(data)} bytes")


def stoi_short(reference: Any, output: Any, extended: bool) -> tuple[float, int]:
    """STOI by pystoi with segments of N = min(30, J) frames, and N: the largest for which it finds a segment."""
    import importlib
    import warnings

    module: Any = importlib.import_module("pystoi.stoi")  # the package's attribute of that name is the function
    full = module.N
    try:
        for frames in range(full, 7, -1):
            module.N = frames
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                try:
                    return float(module.stoi(reference, output, RATE_HZ, extended=extended)), frames
                except RuntimeWarning:
                    continue
    finally:
        module.N = full
    raise SystemExit("a clip is too short")


def expected_values(reference: Any, output: Any) -> dict[str, float | None]:
    """The values of pesq, pystoi and naplib for one pair, by metric."""
    import importlib

    import pesq

    auditory_spectrogram: Any = importlib.import_module("naplib.features").auditory_spectrogram

    lqo = float(pesq.pesq(RATE_HZ, reference, output, "nb"))
    stoi, frames = stoi_short(reference, output, extended=False)
    spectra = [auditory_spectrogram(x.astype(np.float64), RATE_HZ, 10, 10, "linear") for x in (reference, output)]
    flat = [np.asarray(spectrum, dtype=np.float64) for spectrum in spectra]
    return {
        "corr2d": float(np.corrcoef((flat[0] ** 0.3).ravel(), (flat[1] ** 0.3).ravel())[0, 1]),
        "corr2d-linear": float(np.corrcoef(flat[0].ravel(), flat[1].ravel())[0, 1]),
        "pesq": (4.6607 - math.log(4.0 / (lqo - 0.999) - 1.0)) / 1.4945,
        "pesq-nb": lqo,
        "pesq-wb": float(pesq.pesq(RATE_HZ, reference, output, "wb")),
        "stoi": stoi,
        "stoi-strict": stoi if frames == 30 else None,
        "estoi": stoi_short(reference, output, extended=True)[0],
    }


def score() -> None:
    """Scores the pairs and writes the values with the versions of the libraries."""
    import soundfile

    def clip(name: str) -> Any:
        samples, rate = soundfile.read(FOLDER / f"{name}.flac", dtype="float32")
        assert rate == RATE_HZ
        return samples

    rows = []
    for name, known, made in PAIRS:
        reference = clip(known)
        output = np.zeros_like(reference)
        found = clip(made)[: len(reference)]
        output[: len(found)] = found
        expected = expected_values(reference, output)
        rows.append({"id": name, "reference": f"{known}.flac", "output": f"{made}.flac", "expected": expected})
    document = {
        "made_by": {name: version(name) for name in ("pesq", "pystoi", "naplib", "numpy", "scipy")},
        "how": "tests/metrics/conformance_vectors.py; words spoken by eSpeak NG, trimmed, at 16 kHz; an output is cut "
        "or zero-padded at the end to its reference; pesq = (4.6607 - ln(4 / (nb - 0.999) - 1)) / 1.4945; "
        "stoi and estoi: pystoi with N = min(30, J) frames; corr2d: correlation of naplib's spectrograms (10 ms, "
        "10 ms, linear) to the power 0.3",
        "licence": "CC0-1.0",
        "pairs": rows,
    }
    (FOLDER / "pairs.json").write_text(json.dumps(document, indent=1) + "\n")
    for row in rows:
        print(row["id"], row["expected"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("speak", "score"))
    {"speak": speak, "score": score}[parser.parse_args().step]()
