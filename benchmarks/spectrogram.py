"""How much faster the auditory spectrogram is than a plain loop over its filters.

Prints CPU milliseconds per clip (median, one thread), their ratio and the largest difference. Both run in turn in
one process, so that other load on the machine falls on both. Below, batches of 64 clips by torch, on the CPU and on a
GPU where there is one, by the clock. Run: ``python benchmarks/spectrogram.py``.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable

import numba
import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter

from xmbench.measures.auditory_spectrogram import FRAME_SAMPLES, auditory_spectrogram, cochlear_filters
from xmbench.measures.auditory_spectrogram_batched import auditory_spectrograms

Floats = NDArray[np.float64]
DURATIONS_S = (0.325, 0.823, 2.0, 10.0)
REPEATS = 15
BATCH = 64


def plain(x: Floats) -> Floats:
    """The definition: each filter, difference, rectifier and integrator at every sample."""
    frames = -(-len(x) // FRAME_SAMPLES)
    x = np.pad(x, (0, frames * FRAME_SAMPLES - len(x)))
    filters = cochlear_filters()
    out = np.empty((frames, len(filters) - 1))
    higher = lfilter(*filters[-1], x)
    for channel in range(len(filters) - 2, -1, -1):
        filtered = lfilter(*filters[channel], x)
        smooth = lfilter([1.0], [1.0, -np.exp(-1 / FRAME_SAMPLES)], np.maximum(filtered - higher, 0.0))
        out[:, channel] = smooth[FRAME_SAMPLES - 1 :: FRAME_SAMPLES]
        higher = filtered
    return out


def cpu_ms(function: Callable[[Floats], Floats], x: Floats) -> float:
    """CPU time of one call in milliseconds."""
    start = time.process_time()
    function(x)
    return 1e3 * (time.process_time() - start)


def main() -> None:
    """Measure and print."""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}")
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"numba {numba.__version__}"
    )
    print(f"{'clip':>8} {'plain':>10} {'xmbench':>10} {'ratio':>7} {'difference':>11}")
    rng = np.random.default_rng(0)
    for seconds in DURATIONS_S:
        x = 0.1 * rng.standard_normal(int(seconds * 16_000))
        expected, ours = plain(x), auditory_spectrogram(x)  # the first call also compiles
        difference = np.abs(expected - ours).max() / expected.max()
        times = [(cpu_ms(plain, x), cpu_ms(auditory_spectrogram, x)) for _ in range(REPEATS)]
        slow, fast = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{seconds:6.3f} s {slow:7.1f} ms {fast:7.1f} ms {slow / fast:6.1f}x {difference:11.1e}")
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        batch = 0.1 * torch.from_numpy(rng.standard_normal((BATCH, 13_168)).astype(np.float32)).to(device)
        print(f"batch of {BATCH} on {device}: {batched_ms(batch):.3f} ms a clip of 0.823 s, float32")


def batched_ms(batch: torch.Tensor) -> float:
    """Milliseconds per clip by the clock, median of a few batches."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        auditory_spectrograms(batch).sum().item()  # waits for the GPU
        times.append(1e3 * (time.perf_counter() - start) / len(batch))
    return statistics.median(times[1:])


if __name__ == "__main__":
    main()
