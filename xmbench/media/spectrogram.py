"""The auditory spectrogram of the NSL toolbox and the correlation of two of them.

The cochlear model of Yang, Wang and Shamma, "Auditory representations of acoustic signals" (IEEE Trans.
Information Theory 38(2), 1992), as ``wav2aud(x, [10 10 -2 0])`` computes it: 10 ms frames, 10 ms time
constant, linear hair cells, 16 kHz. Per channel: IIR band-pass; difference with the next higher channel;
half-wave rectification; leaky integration; the last sample of each frame.

Filters and differences are linear, so each of the 128 differences is one FFT convolution with an impulse
response, cut where less than 1e-9 of its absolute sum is left. The integration is a weighted sum per frame
and a recurrence over frames. Filters 75 and 76 (from 0) have a pole at z = 1 - 3e-7 or nearer, all but
cancelled by a zero: a constant offset builds up in them over minutes, which a cut response would lose. That
part stays recursive.
"""

from __future__ import annotations

import functools
import math
from importlib import resources
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import ArrayLike, NDArray

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES = 160  # 10 ms
TIME_CONSTANT_SAMPLES = 160  # 10 ms
CHANNELS = 128
CORR2D_POWER = 0.3

_GROUP = 16  # channels per FFT batch: what fits in the cache; neighbours have tails of like length
_MAX_TAPS = 16_384
_TAIL_SHARE = 1e-9  # far below what the power 0.3 lifts out of a silent stretch
_SLOW_FILTERS = (75, 76)  # the two with a pole beside z = 1
_PIECE_FRAMES = 160  # long waveforms go in pieces, so that memory does not grow with channels x duration

Floats = NDArray[np.float64]


class _Group(NamedTuple):
    """Consecutive channels that share one FFT length."""

    first: int
    taps: Floats  # (channels, length)
    slow_gains: Floats  # (channels, slow poles)


class _FilterBank(NamedTuple):
    """The 128 differences: cut impulse responses, and what decays too slowly to be cut."""

    groups: tuple[_Group, ...]
    slow_poles: tuple[float, ...]


@functools.lru_cache(maxsize=1)
def cochlear_filters() -> tuple[tuple[Floats, Floats], ...]:
    """The 129 band-pass filters of the NSL toolbox at 16 kHz.

    Returns:
        (numerator, denominator) per filter, each (order + 1,), from the lowest centre frequency (179.7 Hz) to
        the highest (7246.3 Hz), 24 to the octave. The last filter serves only the difference.
    """
    path = resources.files("xmbench.media") / "data" / "cochba.npz"
    with resources.as_file(path) as file, np.load(file) as table:
        orders, numerators, denominators = table["order"], table["numerator"], table["denominator"]
    ends = np.cumsum(orders.astype(np.int64) + 1)[:-1]
    return tuple(zip(np.split(numerators, ends), np.split(denominators, ends), strict=True))


@functools.lru_cache(maxsize=1)
def _filter_bank() -> _FilterBank:
    impulse = np.zeros(_MAX_TAPS)
    impulse[0] = 1.0
    responses = np.stack([scipy.signal.lfilter(b, a, impulse) for b, a in cochlear_filters()])
    gains = np.zeros((len(responses), len(_SLOW_FILTERS)))
    poles = []
    for column, number in enumerate(_SLOW_FILTERS):
        response = responses[number]  # its second half is the slow part alone: gain * pole ** n
        half = _MAX_TAPS // 2
        pole = float((response[-1] / response[-1 - half]) ** (1 / half))
        gains[number, column] = response[-1] / pole ** (_MAX_TAPS - 1)
        response -= gains[number, column] * pole ** np.arange(_MAX_TAPS)
        poles.append(pole)
    taps, slow_gains = responses[:-1] - responses[1:], gains[:-1] - gains[1:]
    remaining = np.cumsum(np.abs(taps[:, ::-1]), axis=1)[:, ::-1]  # what is left from each tap on
    lengths = np.sum(remaining > _TAIL_SHARE * remaining[:, :1], axis=1)
    groups = []
    for first in range(0, CHANNELS, _GROUP):
        rows = slice(first, first + _GROUP)
        groups.append(_Group(first, taps[rows, : int(lengths[rows].max())].copy(), slow_gains[rows]))
    return _FilterBank(tuple(groups), tuple(poles))


# 32 entries: eight groups for each of four waveform lengths (80 MB); a recipe has one length.
@functools.lru_cache(maxsize=32)
def _frequency_responses(group: int, fft_size: int) -> NDArray[np.complex128]:
    taps = _filter_bank().groups[group].taps
    return np.asarray(scipy.fft.rfft(taps, fft_size, axis=1), dtype=np.complex128)


def _frame_weights() -> Floats:
    ages = np.arange(FRAME_SAMPLES - 1, -1, -1, dtype=np.float64)
    return np.exp(-ages / TIME_CONSTANT_SAMPLES)


def _integrate_frames(padded: Floats, slow: Floats, start: int, frames: int) -> Floats:
    """The rectified differences, weighted and summed within each frame.

    Args:
        padded: (P,) waveform with at least as many samples before `start` as any impulse response has taps.
        slow: (slow poles, P), what the recursive part makes of it.
        start: index of the first sample of the first frame.
        frames: how many frames.

    Returns:
        (frames, 128).
    """
    out = np.empty((CHANNELS, frames))
    samples = frames * FRAME_SAMPLES
    weights = _frame_weights()
    for number, (first, taps, slow_gains) in enumerate(_filter_bank().groups):
        history = taps.shape[1] - 1
        segment = padded[start - history : start + samples]
        # The circular wrap falls on the history alone, so that no padding is needed.
        fft_size = scipy.fft.next_fast_len(len(segment), real=True)
        spectra = _frequency_responses(number, fft_size) * scipy.fft.rfft(segment, fft_size)
        channels = scipy.fft.irfft(spectra, fft_size, axis=1, overwrite_x=True)
        channels = channels[:, history : history + samples]
        if slow_gains.any():
            channels += slow_gains @ slow[:, start : start + samples]
        np.maximum(channels, 0.0, out=channels)
        out[first : first + len(taps)] = channels.reshape(len(taps), frames, FRAME_SAMPLES) @ weights
    return out.T


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
    x = np.asarray(waveform, dtype=np.float64)
    if x.ndim != 1 or not x.size or not np.isfinite(x).all():
        raise ValueError(f"expected finite samples (T,), T >= 1, got shape {x.shape}")
    frames = math.ceil(len(x) / FRAME_SAMPLES)
    bank = _filter_bank()
    history = max(group.taps.shape[1] for group in bank.groups)
    padded = np.pad(x, (history, frames * FRAME_SAMPLES - len(x)))
    slow = np.stack([scipy.signal.lfilter([1.0], [1.0, -pole], padded) for pole in bank.slow_poles])
    pieces = [
        _integrate_frames(padded, slow, history + first * FRAME_SAMPLES, min(_PIECE_FRAMES, frames - first))
        for first in range(0, frames, _PIECE_FRAMES)
    ]
    decay = math.exp(-FRAME_SAMPLES / TIME_CONSTANT_SAMPLES)
    sums = np.concatenate(pieces)
    return np.asarray(scipy.signal.lfilter([1.0], [1.0, -decay], sums, axis=0), dtype=np.float64)


def compress(spectrogram: ArrayLike, power: float = CORR2D_POWER) -> Floats:
    """Element-wise power of a non-negative spectrogram (0.3: the setting of Lip2AudSpec).

    Args:
        spectrogram: any shape, non-negative.
        power: positive exponent; 1 leaves the values.

    Returns:
        The same shape.
    """
    values = np.asarray(spectrogram, dtype=np.float64)
    return values if power == 1.0 else np.power(values, power)


def correlation2d(a: ArrayLike, b: ArrayLike) -> float | None:
    """Pearson correlation over all bins, with one mean per array (``corr2`` of MATLAB).

    Args:
        a: finite values of any shape, such as an auditory spectrogram (frames, 128).
        b: the same shape.

    Returns:
        In [-1, 1], higher is better; symmetric; unchanged by a positive gain on either side. None when either
        array is constant (silence, for example): there the correlation does not exist, and the caller counts
        the item as failed.

    Raises:
        ValueError: the shapes differ or the arrays are empty.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape or not x.size:
        raise ValueError(f"expected two arrays of one shape, not empty, got {x.shape} and {y.shape}")
    left, right = _direction(x.ravel()), _direction(y.ravel())
    if left is None or right is None:
        return None
    return float(np.clip(np.dot(left, right), -1.0, 1.0))


def _direction(values: Floats) -> Floats | None:
    """The values less their mean, at length 1; None where they are constant up to rounding."""
    largest = float(np.abs(values).max())
    if largest == 0.0:
        return None
    scaled = values / largest  # squares of very quiet signals would underflow
    scaled -= scaled.mean()
    norm = float(np.sqrt(np.dot(scaled, scaled)))
    if norm <= 1e-12 * math.sqrt(values.size):
        return None
    return scaled / norm
