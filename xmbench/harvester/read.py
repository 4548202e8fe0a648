"""Candidates -> a frame and its sound as they are stored, with what can be measured of them; or why there are none."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmbench.builder.upstream.items import Items
from xmbench.errors import MediaError, VideoError
from xmbench.formats.harvest import HarvestSpec
from xmbench.harvester.candidates import Candidate, Place
from xmbench.interfaces import Rejected
from xmbench.media import audio, image, video

_STEP_S = Fraction(1, 2)  # sounds are read in such steps, so that one that ends early is used up to there
_LEAST_STEPS = 2
_LEAST_PX = 32
_KEPT_PX, _KEPT_BYTES = 640, 400_000  # a picture file up to this size is stored as it is
_QUALITY = 95
_QUIETEST_DB = -120.0
_PAGES = (b"<!doctype html", b"<html", b"<?xml")
_LARGEST_IMAGE = 1 << 26
_BEFORE_END_S = Fraction(1, 5)
_Picture = tuple[bytes, str, NDArray[np.uint8]]  # file, ending of its name, pixels of the file


@dataclass(frozen=True, slots=True)
class Found:
    """What a candidate holds.

    Attributes:
        picture: the file that is stored, JPEG or PNG; `ending` is its name's.
        pixels: of that file, uint8 (H, W, C).
        samples: int16 (T,) at the harvest's rate; a sound that is too short is repeated.
        start_s, sound_s: of the sound: where it begins, and how much of it was there.
        brightness, contrast: mean and standard deviation of the luminance, 0..255.
        motion: mean change of the luminance during the sound, 0..255; None where there is one frame.
        level_db: RMS of the sound, relative to full scale.
        frame_hash: 64 bits, hexadecimal: which of neighbouring areas of the frame is brighter.
    """

    picture: bytes
    ending: str
    pixels: NDArray[np.uint8]
    samples: NDArray[np.int16]
    start_s: float
    sound_s: float
    brightness: float
    contrast: float
    motion: float | None
    level_db: float
    frame_hash: str


class Reader:
    """Reads candidates; those of one video in one pass.

    Args:
        root: the user's directory.
        spec: formats of what is stored.
        offline: no item is fetched.
    """

    def __init__(self, root: Path, spec: HarvestSpec, offline: bool = False) -> None:
        self._root, self._spec = root, spec
        self._items = Items(offline)

    def read(self, candidates: Sequence[Candidate]) -> Iterator[Found | Rejected]:
        """One value per candidate, in the order given; what is wrong with one is a value, too."""
        for _, group in groupby(candidates, key=lambda c: c.image if c.is_video else c.id):
            yield from self._guarded(list(group))

    def _guarded(self, candidates: Sequence[Candidate]) -> list[Found | Rejected]:
        """One picture with its sound, or the parts of one video; what reading raises becomes the status of each."""
        name = candidates[0].source
        try:
            return self._video(candidates) if candidates[0].is_video else [self._pair(candidates[0])]
        except VideoError as error:
            reason = {"unreadable": "unreadable-media", "damaged": "damaged-media"}.get(error.reason, error.reason)
            why = Rejected("read", reason, f"{name}: {error.what}")
        except MediaError as error:
            why = Rejected("read", "unreadable-media", f"{name}: {error.what}")
        except PermissionError as error:
            why = Rejected("read", "not-permitted", f"{name}: {error.strerror}")
        except OSError as error:
            why = Rejected("read", "io-error", f"{name}: {error.strerror or error}", temporary=True)
        except (ValueError, MemoryError, ArithmeticError, LookupError) as error:
            why = Rejected("read", "unreadable-media", f"{name}: {type(error).__name__}: {str(error)[:200]}")
        return [why] * len(candidates)

    # ------------------------------------------------------------------------------------------- pictures and sounds
    def _pair(self, candidate: Candidate) -> Found | Rejected:
        if not candidate.image.file:
            return Rejected("read", "missing-frame", f"{candidate.source}: not in the archive")
        if not candidate.sound.file:
            return Rejected("read", "missing-sound", f"the sound of {candidate.source} is not in the archive")
        with self._file(candidate.image) as path:
            if isinstance(path, Rejected):
                return path
            if not path.is_file():
                return Rejected("read", "missing-frame", f"no file {candidate.image.file}")
            picture = self._picture(path)
        if isinstance(picture, Rejected):
            return picture
        with self._file(candidate.sound) as path:
            if isinstance(path, Rejected):
                return path
            if not path.is_file():
                return Rejected("read", "missing-sound", f"no file {candidate.sound.file}")
            if page := _web_page(path):
                return page
            sounds = self._sounds(path, [Fraction(str(candidate.start_s))])
        if isinstance(sounds[0], Rejected):
            return sounds[0]
        return self._made(*picture, sounds[0], candidate.start_s, None)

    def _picture(self, path: Path) -> _Picture | Rejected:
        if path.stat().st_size > _LARGEST_IMAGE:
            return Rejected("read", "too-large", f"{path.name}: {path.stat().st_size:,} bytes")
        data = path.read_bytes()
        if _is_page(data):
            return Rejected("read", "web-page", f"{path.name}: a web page instead of the picture")
        try:
            pixels = image.decode(data)
        except MediaError as error:
            return Rejected("read", "corrupt-image", f"{path.name}: {error.what}")
        if min(pixels.shape[:2]) < _LEAST_PX:
            return Rejected("read", "too-small", f"{path.name}: {pixels.shape[0]} x {pixels.shape[1]} pixels")
        if max(pixels.shape[:2]) > _KEPT_PX or len(data) > _KEPT_BYTES:
            return self._encoded(pixels)
        return data, ".png" if data.startswith(b"\x89PNG") else ".jpg", pixels

    def _encoded(self, pixels: NDArray[np.uint8]) -> _Picture:
        square = image.centred_square(pixels)
        side = self._spec.image_px
        square = image.resize(square, side, side) if square.shape[0] > side else square
        data = image.encode_jpeg(square, _QUALITY)
        return data, ".jpg", image.decode(data)

    # -------------------------------------------------------------------------------------------------- videos
    def _video(self, candidates: Sequence[Candidate]) -> list[Found | Rejected]:
        with self._file(candidates[0].image) as path:
            if isinstance(path, Rejected):
                return [path] * len(candidates)
            if not path.is_file():
                return [Rejected("read", "missing-video", f"no file {candidates[0].image.file}")] * len(candidates)
            if page := _web_page(path):
                return [page] * len(candidates)
            length = Fraction(str(self._spec.seconds))
            duration = video.facts(path).duration_s
            whole = max(1, int(duration / length))
            first = max(0, (whole - candidates[0].parts) // 2)
            starts = [(first + c.part) * length for c in candidates if c.part < whole]
            frames = self._frames(path, starts, length, duration)
            sounds = self._sounds(path, starts)
        found: list[Found | Rejected] = []
        for candidate in candidates:
            if candidate.part >= whole:
                detail = f"{float(duration):.1f} s have {whole} part(s)"
                found.append(Rejected("read", "past-end", detail, filtered=True))
                continue
            place = len(found)
            frame, sound = frames[place], sounds[place]
            if isinstance(sound, Rejected):
                found.append(sound)
                continue
            if isinstance(frame, Rejected):
                found.append(frame)
                continue
            found.append(self._made(*frame[0], sound, float(starts[place]), frame[1]))
        return found

    def _frames(
        self, path: Path, starts: Sequence[Fraction], length: Fraction, duration: Fraction
    ) -> list[tuple[_Picture, float | None] | Rejected]:
        """Of each part the frame in its middle, encoded, and the change from its beginning to its end."""
        times: list[Fraction] = []
        for start in starts:
            end = min(start + length, duration) - _BEFORE_END_S if duration > 1 else start
            times += [start, (start + end) / 2, max(end, start)]
        pictures = video.frames(path, times)
        found: list[tuple[_Picture, float | None] | Rejected] = []
        for first, middle, last in zip(pictures, pictures, pictures, strict=True):
            shown = middle if middle is not None else first
            if shown is None:
                found.append(Rejected("read", "no-frame", "the picture ends before this part"))
            elif min(shown.shape[:2]) < _LEAST_PX:
                found.append(Rejected("read", "too-small", f"{shown.shape[0]} x {shown.shape[1]} pixels"))
            else:
                motion = None
                if first is not None and last is not None:
                    motion = float(np.abs(_luminance(first) - _luminance(last)).mean())
                found.append((self._encoded(shown), motion))
        return found

    # -------------------------------------------------------------------------------------------------- common
    def _sounds(self, path: Path, starts: Sequence[Fraction]) -> list[NDArray[np.float32] | Rejected]:
        """The sound from each start, as much of it as there is."""
        steps = -(-Fraction(str(self._spec.seconds)) // _STEP_S)
        times = [start + i * _STEP_S for start in starts for i in range(int(steps))]
        parts = iter(list(video.sound(path, times, _STEP_S, self._spec.sample_rate_hz)))
        found: list[NDArray[np.float32] | Rejected] = []
        for _ in starts:
            there = [part for part in [next(parts) for _ in range(int(steps))] if part is not None]
            if len(there) < _LEAST_STEPS:
                what = f"{len(there) * float(_STEP_S)} s of sound are left"
                found.append(Rejected("read", "too-short", what, filtered=True))
                continue
            found.append(np.concatenate(there)[: round(self._spec.seconds * self._spec.sample_rate_hz)])
        return found

    def _made(
        self,
        picture: bytes,
        ending: str,
        pixels: NDArray[np.uint8],
        sound: NDArray[np.float32],
        start_s: float,
        motion: float | None,
    ) -> Found:
        length = round(self._spec.seconds * self._spec.sample_rate_hz)
        samples = audio.to_int16(np.resize(sound, length))  # repeated where it is shorter
        power = float(np.square(audio.to_float(samples), dtype=np.float64).mean())
        grey = _luminance(pixels)
        return Found(
            picture,
            ending,
            pixels,
            samples,
            start_s,
            round(len(sound) / self._spec.sample_rate_hz, 3),
            float(grey.mean()),
            float(grey.std()),
            motion,
            max(_QUIETEST_DB, 10 * float(np.log10(power))) if power > 0 else _QUIETEST_DB,
            frame_hash(pixels),
        )

    @contextmanager
    def _file(self, place: Place) -> Iterator[Path | Rejected]:
        """A file that holds the bytes of a place."""
        if place.file.startswith(("https://", "http://")):
            yield self._items.fetch(place.file)
            return
        path = self._root / place.file
        if place.at < 0:
            yield path
            return
        with ExitStack() as held:
            out = held.enter_context(tempfile.NamedTemporaryFile(suffix=".member"))
            with path.open("rb") as archive:
                archive.seek(place.at)
                out.write(archive.read(place.size))
            out.flush()
            yield Path(out.name)


def frame_hash(pixels: NDArray[np.uint8]) -> str:
    """64 bits of a picture: in 8 rows, whether each of 9 areas is brighter than the next one."""
    small = image.resize(np.asarray(np.rint(_luminance(pixels)), np.uint8)[:, :, None], 8, 9)[:, :, 0].astype(int)
    bits = (small[:, :-1] > small[:, 1:]).reshape(-1)
    return np.packbits(bits).tobytes().hex()


def _luminance(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Luminance (H, W) by ITU-R BT.601."""
    if pixels.shape[2] == 1:
        return pixels[:, :, 0].astype(np.float64)
    return np.asarray(pixels @ np.array([0.299, 0.587, 0.114]), np.float64)


def _is_page(head: bytes) -> bool:
    return head[:512].lstrip().lower().startswith(_PAGES)


def _web_page(path: Path) -> Rejected | None:
    with path.open("rb", buffering=io.DEFAULT_BUFFER_SIZE) as file:
        if _is_page(file.read(512)):
            return Rejected("read", "web-page", f"{path.name}: a web page instead of the file")
    return None
