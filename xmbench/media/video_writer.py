"""Writes a video file: H.264 and any number of sound streams, as mp4 or mkv. The same input gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import PrerequisiteError

Timed = tuple[Fraction, NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class SoundTrack:
    """One sound stream to write: float32 (T,), range -1..1, its rate, its codec ("aac" or, without loss, "alac")."""

    samples: NDArray[np.float32]
    sample_rate_hz: int
    codec: str = "aac"


def write_video(
    path: Path,
    frames: Iterable[Timed],
    size_px: tuple[int, int],
    sounds: Sequence[SoundTrack] = (),
    quality: int = 23,
    time_base: Fraction = Fraction(1, 90_000),
    key_every: int = 60,
) -> None:
    """Writes frames as they come; only one is in memory.

    Args:
        path: of the file; its extension decides the format.
        frames: the time at which each is shown, ascending, and its pixels uint8 (H, W, 3).
        size_px: H and W, both even.
        sounds: each from time 0 on.
        quality: of x264: 0 is lossless, 23 usual, 51 worst.
        time_base: times are rounded to multiples of it.
        key_every: frames from one key frame to the next, at most.

    Raises:
        PrerequisiteError: the package av is not installed.
    """
    try:
        import av
    except ImportError as error:
        what = "the package av is not installed"
        raise PrerequisiteError(what, expected="it writes video", todo="pip install av") from error
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        picture: Any = container.add_stream("libx264", rate=30)
        picture.height, picture.width = size_px
        picture.pix_fmt = "yuv420p"
        picture.codec_context.time_base = picture.time_base = time_base
        picture.codec_context.thread_count = 1  # with more, the bytes depend on how many
        picture.options = {"preset": "ultrafast", "crf": str(quality), "g": str(key_every)}
        streams = [_sound_stream(container, sound) for sound in sounds]
        for stream, sound in zip(streams, sounds, strict=True):
            for frame in _sound_frames(av, sound):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        for packet in _packets(av, picture, frames, time_base):
            container.mux(packet)


def _packets(av: Any, picture: Any, frames: Iterable[Timed], unit: Fraction) -> Iterable[Any]:
    """Encoded frames; the last one is shown as long as the one before it."""
    from av.video.reformatter import Interpolation

    exactly = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    shown = [0, 1]
    for time, pixels in frames:
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p", interpolation=exactly)
        frame.pts, frame.time_base = round(time / unit), unit
        shown = [shown[-1], frame.pts]
        yield from picture.encode(frame)
    last = picture.encode(None)
    if last:
        last[-1].duration = shown[-1] - shown[0]
    yield from last


def _sound_stream(container: Any, sound: SoundTrack) -> Any:
    stream = container.add_stream(sound.codec, rate=sound.sample_rate_hz, layout="mono")
    stream.codec_context.time_base = Fraction(1, sound.sample_rate_hz)
    return stream


def _sound_frames(av: Any, sound: SoundTrack) -> Iterable[Any]:
    """All samples in frames of any length: the encoder divides them as it needs."""
    kind = "fltp" if sound.codec == "aac" else "s16p"
    samples: NDArray[Any] = sound.samples
    if kind == "s16p":
        samples = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    step = 1024 if sound.codec == "aac" else 4096
    for start in range(0, len(samples), step):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + step].copy(), format=kind, layout="mono")
        frame.sample_rate, frame.pts = sound.sample_rate_hz, start
        frame.time_base = Fraction(1, sound.sample_rate_hz)
        yield frame
