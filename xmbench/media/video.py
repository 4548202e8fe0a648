"""Video: what a file holds, its picture at given times, windows of picture and sound. Each stream is decoded once.

Times are exact (fractions of a second) and follow the timestamps of the frames, so a variable frame rate needs no
special treatment. Time 0 is the start of the stream that starts first. The picture at a time is the frame that is shown
then: the last one that starts at or before it; before the first frame, the first one. The rotation that a file asks
for is applied. Of several streams, the picture is that of the first; the sound is that of the stream whose number,
counted among the sound streams of the file, is given (`sound_stream`, 0 by default).

Only frames that are asked for are converted to RGB. FFmpeg decodes alike everywhere; its conversion to RGB is the same
on all machines of one family of processors (x86-64), and may be one step brighter or darker on another.
A file that is damaged is read up to the damage: no frame that a decoder repaired by guessing is ever returned.

FFmpeg comes inside the package `av`; no program is needed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import PrerequisiteError, VideoError
from xmbench.media import sound_track

if TYPE_CHECKING:
    from av.container import InputContainer

# Formats that are read. Playlists and lists of files are not among them: they name other files and addresses.
FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,wav,flac,mp3,aac,aiff"
LARGEST_FRAME_PX = 8192 * 4320
_OPENED = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
_EXPECTED = "an mp4, webm, mkv, avi or mpeg file"
_SLACK_S = Fraction(1)  # a header's duration may be that of another stream, and rounded


@dataclass(frozen=True, slots=True)
class SoundStream:
    """One sound stream: its number among them, codec, rate, channels, language ("" where it has none)."""

    number: int
    codec: str
    sample_rate_hz: int
    channels: int
    language: str


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a video holds.

    Attributes:
        height_px, width_px: of the picture as it is shown, after the rotation.
        rotation_deg: counterclockwise rotation that is applied: 0, 90, 180 or 270.
        duration_s: of the picture by the header; of the file where the header does not say; 0 where neither is known.
        frames_per_s: the mean by the header; a guide only.
        sounds: the sound streams in the order of the file.
    """

    height_px: int
    width_px: int
    rotation_deg: int
    duration_s: Fraction
    frames_per_s: float
    sounds: tuple[SoundStream, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """One window: its number, its start, the picture shown at its start, its sound.

    Attributes:
        index: 0, 1, 2 ...
        start_s: index times the stride.
        pixels: uint8 (H, W, 3).
        samples: float32 (round(length * rate),), mono, the mean of the channels.
    """

    index: int
    start_s: Fraction
    pixels: NDArray[np.uint8]
    samples: NDArray[np.float32]


def ffmpeg_version() -> str:
    """Version of the FFmpeg libraries that decode and convert; raises PrerequisiteError without the package av."""
    libraries = _av().library_versions
    return ", ".join(f"{name} {'.'.join(map(str, libraries[name]))}" for name in ("libavcodec", "libswscale"))


def exact(seconds: float | Fraction) -> Fraction:
    """A time as a fraction; of a float the decimal that it prints as: 0.1 is one tenth."""
    return seconds if isinstance(seconds, Fraction) else Fraction(str(seconds))


def window_count(duration_s: float | Fraction, length_s: float | Fraction, stride_s: float | Fraction) -> int:
    """Windows that are wholly inside a duration: floor((duration - length) / stride) + 1, 0 if it is too short."""
    left = exact(duration_s) - exact(length_s)
    return int(left / exact(stride_s)) + 1 if left >= 0 else 0


def facts(path: Path) -> VideoFacts:
    """Reads the headers and the first frame.

    Raises:
        VideoError: empty, no video, without a picture, or damaged at its beginning.
    """
    with _opened(path) as container:
        stream = _picture(container, path)
        _, frame = next(_timed(container, stream, path, Fraction(0)), (None, None))
        if frame is None:
            raise VideoError("no frame can be decoded", reason="damaged", where=path)
        turns = _turns(frame)
        height, width = (frame.height, frame.width) if turns % 2 == 0 else (frame.width, frame.height)
        rate = float(stream.average_rate or 0)
        return VideoFacts(height, width, 90 * turns, _duration(container, stream), rate, _sounds(container))


def frames(path: Path, times: Iterable[Fraction], threads: int = 1) -> Iterator[NDArray[np.uint8] | None]:
    """The picture at each of some times, in one decoding pass that ends with the last of them.

    Args:
        path: of the video.
        times: ascending; equal ones give the same array.
        threads: of the decoder.

    Yields:
        uint8 (H, W, 3), not to be changed; None for a time at which the picture has ended.

    Raises:
        VideoError: as `facts`, or damage before a time that is asked for.
    """
    with _opened(path) as container:
        stream = _picture(container, path, threads)
        decoded = _timed(container, stream, path, _origin(container))
        start, shown = next(decoded, (Fraction(0), None))
        if shown is None:
            raise VideoError("no frame can be decoded", reason="damaged", where=path)
        following = next(decoded, None)
        pixels: NDArray[np.uint8] | None = None
        for time in times:
            while following is not None and following[0] <= time:
                (start, shown), pixels = following, None
                following = next(decoded, None)
            if following is None and time >= start + _shown_s(shown, stream):
                yield None
                continue
            if pixels is None:
                pixels = _upright(shown)
            yield pixels


def sound(
    path: Path, starts: Iterable[Fraction], length_s: float | Fraction, sample_rate_hz: int, sound_stream: int = 0
) -> Iterator[NDArray[np.float32] | None]:
    """Slices of one sound stream of a video or a sound file, mono at a rate, in one decoding pass.

    A slice begins at sample round(start * rate) and has round(length * rate) samples. Before the stream starts, and
    where its timestamps leave a gap, there is silence.

    Args:
        path: of the file.
        starts: ascending.
        length_s: of every slice.
        sample_rate_hz: of the result; resampled with soxr HQ.
        sound_stream: number of the stream among the sound streams.

    Yields:
        float32 (T,); None for a slice that is not wholly there.

    Raises:
        VideoError: as `facts`; no such sound stream.
    """
    length = round(exact(length_s) * sample_rate_hz)
    with _opened(path) as container:
        decoded = _decoded(container, _sound(container, sound_stream, path), path)
        chunks = sound_track.chunks(decoded, _origin(container), sample_rate_hz, path)
        yield from sound_track.slices(chunks, (round(start * sample_rate_hz) for start in starts), length)


def whole_sound(path: Path, sound_stream: int = 0) -> Generator[tuple[NDArray[np.float32], int]]:
    """One sound stream from time 0 to its end, in consecutive chunks, mono, at the stream's own rate.

    Yields:
        float32 (T,), range -1..1, and the rate in Hz.

    Raises:
        VideoError: as `sound`.
    """
    with _opened(path) as container:
        decoded = _decoded(container, _sound(container, sound_stream, path), path)
        first = next(decoded, None)
        if first is None:
            raise VideoError("no sound can be decoded", reason="damaged", where=path)
        for samples in sound_track.chunks(chain([first], decoded), _origin(container), first.sample_rate, path):
            yield samples, first.sample_rate


def windows(
    path: Path,
    length_s: float | Fraction = 0.5,
    stride_s: float | Fraction = 0.1,
    sample_rate_hz: int = 44_100,
    sound_stream: int = 0,
    threads: int = 1,
) -> Iterator[Window]:
    """Every window of a video, one at a time: memory does not grow with the video.

    There are `window_count` of them in what the header says both streams have, fewer where a stream ends up to one
    second earlier.

    Raises:
        VideoError: as `frames` and `sound`; "too-short" for a video without a window; "cut-off", after the last
            window that is there, where over a second is missing.
    """
    stride, length = exact(stride_s), exact(length_s)
    promised = _promised(path, sound_stream)
    if not (number := window_count(promised, length, stride)) and promised:
        what = f"{float(promised):.3f} s long, shorter than one window of {float(length)} s"
        raise VideoError(what, reason="too-short", where=path, expected="a longer video")

    def starts() -> Iterator[Fraction]:
        return (index * stride for index in (range(number) if promised else count()))

    pictures = frames(path, starts(), threads)
    clips = sound(path, starts(), length, sample_rate_hz, sound_stream)
    there = 0
    for start, pixels, samples in zip(starts(), pictures, clips, strict=False):
        if pixels is None or samples is None:
            break
        yield Window(there, start, pixels, samples)
        there += 1
    if (number - there) * stride > _SLACK_S or not there:
        what = f"{there} of {number} windows are there: it was cut off" if there else "no whole window"
        raise VideoError(what, reason="cut-off", where=path, expected=f"{float(promised):.2f} s, as its header says")


# ------------------------------------------------------------------------------------------------- streams
def _av() -> Any:
    try:
        import av
    except ImportError as error:
        what = "the package av is not installed"
        raise PrerequisiteError(what, expected="it reads video", todo="pip install av") from error
    return av


def _faults() -> tuple[type[BaseException], ...]:
    """What FFmpeg and its binding raise for a bad file."""
    return (_av().FFmpegError, OSError, ValueError, LookupError, EOFError, RuntimeError, MemoryError)


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """A file, opened by its content; its name decides nothing."""
    av = _av()
    if not path.is_file():
        raise VideoError("no such file", reason="missing", where=path, expected=_EXPECTED)
    if path.stat().st_size == 0:
        raise VideoError("an empty file", reason="empty-file", where=path, expected="a video")
    try:
        container = av.open(str(path.absolute()), container_options=_OPENED)
    except _faults() as error:
        what = f"not a video, or one that was cut off before its index ({_said(error)})"
        raise VideoError(what, reason="unreadable", where=path, expected=_EXPECTED) from error
    with container:
        yield container


def _picture(container: InputContainer, path: Path, threads: int = 1) -> Any:
    """The first stream with a moving picture: the cover of a record is none."""
    from av.stream import Disposition

    found = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not found:
        raise VideoError("sound without a picture", reason="no-picture", where=path, expected="a video")
    stream = found[0]
    if stream.codec_context is None:
        raise VideoError("a codec that FFmpeg does not know", reason="unreadable", where=path)
    if stream.codec_context.width * stream.codec_context.height > LARGEST_FRAME_PX:
        what = f"frames of {stream.codec_context.width} x {stream.codec_context.height} pixels"
        raise VideoError(what, reason="too-large", where=path, expected=f"at most {LARGEST_FRAME_PX:,} pixels")
    stream.codec_context.thread_count = threads
    stream.thread_type = "AUTO"
    return stream


def _sound(container: InputContainer, number: int, path: Path) -> Any:
    """The sound stream of a number."""
    found = container.streams.audio
    if number >= len(found):
        what = f"{len(found)} sound stream(s)" if found else "no sound"
        raise VideoError(what, reason="no-sound", where=path, expected=f"a sound stream of the number {number}")
    return found[number]


def _decoded(container: InputContainer, stream: Any, path: Path) -> Iterator[Any]:
    """Frames of one stream; what cannot be decoded is an error."""
    try:
        yield from container.decode(stream)
    except _faults() as error:
        raise VideoError(f"damaged ({_said(error)})", reason="damaged", where=path) from error


def _timed(container: InputContainer, stream: Any, path: Path, origin: Fraction) -> Iterator[tuple[Fraction, Any]]:
    """Frames of the picture with the time at which each is shown."""
    for frame in _decoded(container, stream, path):
        if frame.pts is None:
            raise VideoError("frames without timestamps", reason="damaged", where=path)
        time = frame.pts * frame.time_base - origin
        if frame.is_corrupt:
            raise VideoError(f"damaged at {float(time):.3f} s", reason="damaged", where=path)
        yield time, frame


def _origin(container: InputContainer) -> Fraction:
    """Time 0 in the file's own time: the start of the first stream of picture or sound."""
    streams: list[Any] = [*container.streams.video, *container.streams.audio]
    return min((Fraction(s.start_time * s.time_base) for s in streams if s.start_time is not None), default=Fraction(0))


def _duration(container: InputContainer, stream: Any) -> Fraction:
    if stream.duration:
        return Fraction(stream.duration * stream.time_base)
    return Fraction(container.duration or 0, 1_000_000)


def _promised(path: Path, sound_stream: int) -> Fraction:
    """Seconds of picture with sound that the header says there are; 0 where it says nothing."""
    with _opened(path) as container:
        streams = _picture(container, path), _sound(container, sound_stream, path)
        return min(_duration(container, stream) for stream in streams)


def _sounds(container: InputContainer) -> tuple[SoundStream, ...]:
    return tuple(
        SoundStream(
            number,
            stream.codec_context.name if stream.codec_context else "",
            stream.codec_context.sample_rate if stream.codec_context else 0,
            stream.codec_context.channels if stream.codec_context else 0,
            stream.metadata.get("language", "").replace("und", ""),
        )
        for number, stream in enumerate(container.streams.audio)
    )


# -------------------------------------------------------------------------------------------------- frames
def _shown_s(frame: Any, stream: Any) -> Fraction:
    """How long the last frame is shown."""
    if frame.duration:
        return Fraction(frame.duration * frame.time_base)
    return 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)


def _turns(frame: Any) -> int:
    """Quarter turns counterclockwise that a frame asks for."""
    return int(round(frame.rotation / 90) % 4)


def _upright(frame: Any) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) of a frame, rotated as it asks for."""
    from av.video.reformatter import Interpolation

    # With ACCURATE_RND in addition the conversion takes six times as long, more than the decoding of two frames.
    repeatable = Interpolation.BILINEAR | Interpolation.BITEXACT
    try:
        pixels = frame.to_ndarray(format="rgb24", interpolation=repeatable)
    except _faults() as error:
        raise VideoError(f"a frame that cannot be converted ({_said(error)})", reason="damaged") from error
    return np.ascontiguousarray(np.rot90(pixels, _turns(frame)))


def _said(error: BaseException) -> str:
    """FFmpeg's message, without the path that `where` names."""
    return str(getattr(error, "strerror", None) or error)[:200]
