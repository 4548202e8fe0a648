"""The auditory spectrogram against naplib itself, on real speech, in an environment of naplib's own.

naplib wants numpy below 2: name a Python that has it, ``XMBENCH_NAPLIB_PYTHON=/path/to/bin/python pytest ...``.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests.recordings import real_digits
from xmbench.measures.auditory_spectrogram import auditory_spectrogram
from xmbench.measures.corr2d import compress, correlation2d

CLIPS = 24
NAPLIB = """
import sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
from naplib.features import auditory_spectrogram
with np.load(sys.argv[1]) as arrays:
    clips = {name: arrays[name] for name in arrays.files}
made, seconds = {}, []
for name, clip in clips.items():
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        made[name] = auditory_spectrogram(clip.astype(np.float64), 16000, 10, 10, "linear")
        best = min(best, time.process_time() - start)
    seconds.append(best)
np.savez(sys.argv[2], seconds=np.array(seconds), **made)
"""


def ours_in_seconds(clip: np.ndarray) -> tuple[np.ndarray, float]:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        made = auditory_spectrogram(clip)
        best = min(best, time.process_time() - start)
    return made, best


def test_equals_naplib_on_real_recordings_and_is_faster(tmp_path: Path) -> None:
    python = os.environ.get("XMBENCH_NAPLIB_PYTHON")
    if not python:
        pytest.skip("naplib needs an environment of its own: XMBENCH_NAPLIB_PYTHON names its Python")
    clips = {f"clip{i:03d}": clip for i, clip in enumerate(real_digits(CLIPS, seed=3))}
    np.savez(tmp_path / "in.npz", **clips)  # type: ignore[arg-type]
    one_core = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    plain = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run(
        [python, "-c", NAPLIB, str(tmp_path / "in.npz"), str(tmp_path / "out.npz")],
        check=True,
        env={**plain, **one_core},
        timeout=600,
    )
    auditory_spectrogram(next(iter(clips.values())))  # compiles
    deviations, ratios, correlations, spectra = [], [], [], {}
    with np.load(tmp_path / "out.npz") as theirs:
        for i, (name, clip) in enumerate(clips.items()):
            made, seconds = ours_in_seconds(clip)
            spectra[name] = made, theirs[name]
            deviations.append(np.abs(made - theirs[name]).max() / theirs[name].max())
            ratios.append(theirs["seconds"][i] / seconds)
    for (a, b), (c, d) in zip(list(spectra.values())[::2], list(spectra.values())[1::2], strict=True):
        rows = min(len(a), len(c))
        ours = correlation2d(compress(a[:rows]), compress(c[:rows]))
        assert ours is not None
        correlations.append(abs(ours - np.corrcoef(b[:rows].ravel() ** 0.3, d[:rows].ravel() ** 0.3)[0, 1]))
    print(
        f"\n{len(clips)} real digits: largest deviation {max(deviations):.1e} of the largest value, "
        f"of Corr2D {max(correlations):.1e}; {np.median(ratios):.1f} times naplib's speed on one core "
        f"({min(ratios):.1f} to {max(ratios):.1f})"
    )
    assert max(deviations) < 1e-3
    assert max(correlations) < 1e-3
    assert np.median(ratios) >= 2.5
