"""The auditory spectrogram of the NSL toolbox.

The cochlear model of Yang, Wang and Shamma, "Auditory representations of acoustic signals" (IEEE Trans.
Information Theory 38(2), 1992), as ``wav2aud(x, [10 10 -2 0])`` computes it: 10 ms frames, 10 ms time
constant, linear hair cells, 16 kHz. Per channel: IIR band-pass; difference with the next higher channel;
half-wave rectification; leaky integration; the last sample of each frame.

The filters run as they are defined, sample by sample in double precision, all channels in parallel in the vector
registers. An FFT would not be exact: some poles are so close to z = 1 that a constant offset builds up in them over
minutes.
"""

from __future__ import annotations

import functools
import math
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FRAME_SAMPLES = 160  # 10 ms
TIME_CONSTANT_SAMPLES = 160  # 10 ms
CHANNELS = 128

Floats = NDArray[np.float64]


class _FilterBank(NamedTuple):
    """The filters as `auditory_kernels.cochlear_frames` takes them."""

    numerators: Floats
    feedback: Floats
    widths: NDArray[np.int64]


@functools.lru_cache(maxsize=1)
def cochlear_filters() -> tuple[tuple[Floats, Floats], ...]:
    """The 129 band-pass filters of the NSL toolbox at 16 kHz.

    Returns:
        (numerator, denominator) per filter, each (order + 1,), from the lowest centre frequency (179.7 Hz) to
        the highest (7246.3 Hz), 24 to the octave. The last filter is only used in the difference.
    """
    path = resources.files("xmbench.measures") / "data" / "cochba.npz"
    with resources.as_file(path) as file, np.load(file) as table:
        orders, numerators, denominators = table["order"], table["numerator"], table["denominator"]
    ends = np.cumsum(orders.astype(np.int64) + 1)[:-1]
    return tuple(zip(np.split(numerators, ends), np.split(denominators, ends), strict=True))


@functools.lru_cache(maxsize=1)
def _filter_bank() -> _FilterBank:
    from xmbench.measures import auditory_kernels

    filters = cochlear_filters()
    orders = np.array([len(numerator) - 1 for numerator, _ in filters])
    starts = range(0, int(orders.max()), auditory_kernels.TAPS)
    rows = starts[-1] + auditory_kernels.TAPS + auditory_kernels.STEP
    numerators, feedback = auditory_kernels.aligned(rows), auditory_kernels.aligned(rows)
    for channel, (numerator, denominator) in enumerate(filters):
        taps = slice(channel, channel + auditory_kernels.LANES * len(numerator), auditory_kernels.LANES)
        numerators[taps], feedback[taps] = numerator, -denominator
    lanes = [int(np.flatnonzero(orders > start)[-1]) // 8 * 8 + 8 for start in starts]
    return _FilterBank(numerators, feedback, np.array(lanes))


def auditory_spectrogram(waveform: ArrayLike) -> Floats:
    """NSL auditory spectrogram, ``wav2aud(x, [10 10 -2 0])``.

    Args:
        waveform: (T,) at 16 kHz, any finite level; linear, so that a gain scales the result.

    Returns:
        (ceil(T / 160), 128), non-negative, in the unit of the waveform times samples. A trailing partial
        frame is completed with zeros. Row k belongs to the end of frame k; column 0 is the lowest frequency.

    Raises:
        ValueError: the waveform is not one-dimensional, is empty or has a NaN or an infinity.
    """
    from xmbench.measures import auditory_kernels

    x = np.asarray(waveform, dtype=np.float64)
    if x.ndim != 1 or not x.size or not np.isfinite(x).all():
        raise ValueError(f"expected finite samples (T,), T >= 1, got shape {x.shape}")
    out = np.empty((math.ceil(len(x) / FRAME_SAMPLES), CHANNELS))
    padded = np.zeros(len(out) * FRAME_SAMPLES)
    padded[: len(x)] = x
    bank = _filter_bank()
    states, outputs = (
        auditory_kernels.aligned(len(bank.numerators) // auditory_kernels.LANES),
        auditory_kernels.aligned(auditory_kernels.STEP),
    )
    decay = math.exp(-1 / TIME_CONSTANT_SAMPLES)
    auditory_kernels.cochlear_frames(padded, *bank, decay, states, outputs, out)
    return out
