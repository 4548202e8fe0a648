"""Mono audio: decode, encode, fit to a length, resample, trim silence.

Stored audio is 16-bit PCM (int16, range -32768..32767); computed audio is float32 in -1..1, divided by 32768.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from xmbench.errors import MediaError
from xmbench.storage.files import byte_limit

FULL_SCALE = 32768.0
FRAME_S = 0.010
LARGEST_SOUND = 1 << 30  # bytes of float32 samples: 3.4 hours at 22,050 Hz
_UNKNOWN = 2**62  # libsndfile's count where the header has none is above this


def to_float(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """int16 (T,) -> float32 (T,), divided by 32768."""
    return samples.astype(np.float32) / np.float32(FULL_SCALE)


def to_int16(samples: NDArray[np.floating]) -> NDArray[np.int16]:
    """Float (T,) in -1..1 -> int16 (T,): rounded, values beyond the range are clipped."""
    scaled = np.rint(np.asarray(samples, dtype=np.float64) * FULL_SCALE)
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def encode_wav(samples: NDArray[np.int16], sample_rate_hz: int) -> bytes:
    """A 16-bit mono wav file; the same samples always give the same bytes."""
    data = np.ascontiguousarray(samples, dtype="<i2").tobytes()
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1),
        *(sample_rate_hz, 2 * sample_rate_hz, 2, 16, b"data", len(data)),
    )
    return header + data


def decode(data: bytes, largest: int = LARGEST_SOUND) -> tuple[NDArray[np.float32], int]:
    """Reads a wav or flac file.

    Args:
        data: the bytes of the file.
        largest: bytes that its samples may come to as float32; `$XMBENCH_MAX_BYTES`, where it is set, replaces it.

    Returns:
        Samples float32, shape (T, channels), range -1..1 for integer formats (a float file may hold any
        value, NaN included: the caller checks), and the sample rate in Hz.

    Raises:
        MediaError: not a readable audio file, or the header claims more samples than allowed.
    """
    expected = "a wav or flac file"
    if not data:
        raise MediaError("empty file", expected=expected)
    return _samples(data, "float32", largest, expected)


def decode_mono_int16(data: bytes, largest: int = LARGEST_SOUND) -> tuple[NDArray[np.int16], int]:
    """Reads a stored 16-bit mono file exactly, shape (T,).

    Raises:
        MediaError: not a readable audio file, too long (`largest` as in `decode`), or more than one channel.
    """
    samples, rate = _samples(data, "int16", largest, "a 16-bit mono wav or flac file")
    if samples.shape[1] != 1:
        raise MediaError(f"{samples.shape[1]} channels", expected="1 channel (mono)")
    return samples[:, 0], rate


def measured(stream: BinaryIO) -> tuple[int, int]:
    """Samples of each channel, and their rate in Hz, as the header of a wav or flac file states them.

    Raises:
        MediaError: not a readable audio file, or its header does not state them.
    """
    try:
        with soundfile.SoundFile(stream) as file:
            frames, rate = int(file.frames), int(file.samplerate)
    except (soundfile.LibsndfileError, RuntimeError, ValueError, OverflowError) as error:
        raise MediaError(f"not a readable audio file ({_reason(error)})", expected="a wav or flac file") from error
    if not 0 < frames < _UNKNOWN:
        raise MediaError("the header does not give the number of samples", expected="a file that was closed properly")
    return frames, rate


def read_parts(
    stream: BinaryIO, starts_s: Iterable[float], length_s: float
) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Parts of a wav or flac file, one at a time in memory, whatever the length of the file.

    Args:
        stream: of the file.
        starts_s: where each part starts; those after the end are empty.
        length_s: of each part; shorter at the end of the file.

    Yields:
        Samples float32 (T, channels) as `decode` gives them, and their rate in Hz.

    Raises:
        MediaError: not a readable audio file, or damaged at the part.
    """
    try:
        with soundfile.SoundFile(stream) as file:
            for start_s in starts_s:
                wanted = min(round(length_s * file.samplerate), file.frames)
                _refuse_claim(wanted, file.channels, byte_limit(LARGEST_SOUND) // 4)
                file.seek(min(round(start_s * file.samplerate), file.frames))
                yield file.read(wanted, "float32", always_2d=True), int(file.samplerate)
    except (soundfile.LibsndfileError, RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise MediaError(f"not a readable audio file ({_reason(error)})", expected="a wav or flac file") from error


def _samples(data: bytes, kind: str, largest: int, expected: str) -> tuple[NDArray[Any], int]:
    """Samples (T, channels) of a type, and their rate."""
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _refuse_claim(file.frames, file.channels, byte_limit(largest) // 4)
            return file.read(dtype=kind, always_2d=True), int(file.samplerate)
    except (soundfile.LibsndfileError, RuntimeError, ValueError, OverflowError, MemoryError) as error:
        raise MediaError(f"not a readable audio file ({_reason(error)})", expected=expected) from error


def _refuse_claim(frames: int, channels: int, limit: int) -> None:
    """Raises MediaError for a header that claims too much: the library allocates by it before reading."""
    if frames >= _UNKNOWN:
        raise MediaError("the header does not give the number of samples", expected="a file that was closed properly")
    if frames * channels > limit:
        told = f" in {channels} channels" if channels > 1 else ""
        raise MediaError(f"the header claims {frames:,} samples{told}", expected=f"at most {limit:,}")


def _reason(error: Exception) -> str:
    """The library's message, without its name for bytes in memory."""
    return str(getattr(error, "error_string", error)).strip().rstrip(".")


def fit_length(samples: NDArray[np.generic], length: int) -> NDArray[np.generic]:
    """Cuts (T,) at the end, or pads it with zeros at the end, to (length,)."""
    if len(samples) >= length:
        return samples[:length]
    return np.concatenate([samples, np.zeros(length - len(samples), dtype=samples.dtype)])


def resample(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Resamples float32 (T,) with soxr HQ, the one resampler of the protocol."""
    if from_hz == to_hz:
        return samples
    resampled: NDArray[np.float32] = soxr.resample(samples, from_hz, to_hz, quality="HQ")
    return resampled


def frame_levels_db(samples: NDArray[np.int16], sample_rate_hz: int) -> NDArray[np.float64]:
    """Level of each 10 ms frame in dB relative to the loudest frame, shape (ceil(T / frame),).

    An all-zero clip has no loudest frame: every level is -inf.
    """
    frame = round(FRAME_S * sample_rate_hz)
    count = -(-len(samples) // frame)
    padded = np.zeros(count * frame)
    padded[: len(samples)] = samples
    energy = np.square(padded).reshape(count, frame).mean(axis=1)
    peak = energy.max(initial=0.0)
    if peak == 0.0:
        return np.full(count, -np.inf)
    with np.errstate(divide="ignore"):
        return np.asarray(10.0 * np.log10(energy / peak))


def trim_silence(samples: NDArray[np.int16], sample_rate_hz: int, threshold_db: float = -40.0) -> NDArray[np.int16]:
    """Cuts leading and trailing 10 ms frames below `threshold_db` of the loudest frame.

    Returns:
        int16, shape (T',); empty for an all-zero clip.
    """
    loud = np.flatnonzero(frame_levels_db(samples, sample_rate_hz) >= threshold_db)
    if len(loud) == 0:
        return samples[:0]
    frame = round(FRAME_S * sample_rate_hz)
    return samples[loud[0] * frame : (loud[-1] + 1) * frame]


def encode_flac(samples: NDArray[np.int16], sample_rate_hz: int) -> bytes:
    """A 16-bit mono flac file: exact, and about 40 % of the wav file's size."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, sample_rate_hz, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def longest_full_scale_run(samples: NDArray[np.int16]) -> int:
    """Length of the longest run of samples of (T,) at full scale: 32767 or above, or -32767 or below."""
    full = np.concatenate([[False], (samples >= 32767) | (samples <= -32767), [False]])
    if not full.any():
        return 0
    edges = np.flatnonzero(full[1:] != full[:-1])
    return int((edges[1::2] - edges[::2]).max())
