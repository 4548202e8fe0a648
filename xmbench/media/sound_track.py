"""A sound stream of any length as mono samples at one rate, a chunk at a time, and slices of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from xmbench.errors import VideoError

_JITTER_S = 0.05  # timestamps of some formats are rounded; a larger step is a gap or an overlap
_LONGEST_GAP_S = 3600
_QUIET_CHUNK = 1 << 16
_FULL_SCALE = {"u1": 128.0, "i2": 32768.0, "i4": 2147483648.0, "i8": 9223372036854775808.0}


def chunks(frames: Iterable[Any], origin: Fraction, sample_rate_hz: int, path: Path) -> Iterator[NDArray[np.float32]]:
    """Decoded frames of one sound stream as consecutive chunks, float32 (T,), from time 0 on.

    Args:
        frames: of PyAV, with timestamps.
        origin: time 0 in the file's own time.
        sample_rate_hz: of the result.
        path: of the file, for messages.

    Raises:
        VideoError: the stream changes its rate, or has a gap of over an hour.
    """
    resampler, rate = None, 0
    for samples, rate_hz in _placed(frames, origin, path):
        if resampler is None:
            rate = rate_hz
            resampler = soxr.ResampleStream(rate, sample_rate_hz, 1, dtype="float32", quality="HQ")
        if rate == sample_rate_hz:
            yield samples
        else:
            yield resampler.resample_chunk(samples)
    if resampler is not None and rate != sample_rate_hz:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def slices(
    chunks: Iterator[NDArray[np.float32]], starts: Iterable[int], length: int
) -> Iterator[NDArray[np.float32] | None]:
    """Slices of `length` samples at ascending starts; None for one that is not wholly there."""
    held, first, ended = np.zeros(0, np.float32), 0, False
    for start in starts:
        while not ended and first + len(held) < start + length:
            passed = min(max(0, start - first), len(held))
            chunk = next(chunks, None)
            ended = chunk is None
            first += passed
            held = held[passed:] if chunk is None else np.concatenate([held[passed:], chunk])
        at = start - first
        yield held[at : at + length].copy() if at + length <= len(held) else None


def mono(frame: Any) -> NDArray[np.float32]:
    """The mean of a frame's channels, float32 (T,), range -1..1."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    scale = _FULL_SCALE.get(values.dtype.str[1:], 1.0)
    offset = 128.0 if values.dtype == np.uint8 else 0.0
    mean = (values.mean(axis=0, dtype=np.float64) - offset) / scale
    if not np.isfinite(mean).all():
        mean = np.nan_to_num(mean, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.asarray(np.clip(mean, -1.0, 1.0), dtype=np.float32)


def _placed(frames: Iterable[Any], origin: Fraction, path: Path) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Mono samples without gaps or overlaps from time 0 on, and their rate."""
    reached, rate = 0, 0
    for frame in frames:
        if rate not in (0, frame.sample_rate):
            raise VideoError(f"the sound changes from {rate} to {frame.sample_rate} Hz", reason="damaged", where=path)
        begins, rate = rate == 0, frame.sample_rate
        samples = mono(frame)
        if frame.pts is not None:
            place = round((frame.pts * frame.time_base - origin) * rate)
            away = place - reached
            if begins or abs(away) > _JITTER_S * rate:
                if away > _LONGEST_GAP_S * rate:
                    raise VideoError(f"a gap of {away / rate:,.0f} s in the sound", reason="damaged", where=path)
                while away > 0:
                    quiet = min(away, _QUIET_CHUNK)
                    yield np.zeros(quiet, np.float32), rate
                    away, reached = away - quiet, reached + quiet
                samples = samples[-away:] if away < 0 else samples
        if len(samples):
            yield samples, rate
        reached += len(samples)
