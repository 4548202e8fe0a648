"""The layout of the URMP archive, and its windows: one player's picture with that player's sound.

A directory per piece, `NN_Name_i1_i2...`, holds one video of all players, `Vid_*.mp4`, and one recording of each part
alone, `AuSep_<part>_*.wav`, parts counted from 1 in the order of the instruments in the directory's name. The
directory's name decides which instrument a part is: the files of one piece of the archive name another. Directories
without a number are ignored (the archive has supplements).

Players sit side by side. A part's picture is a box of the video: by default the frame is divided into equal columns,
the first part on the left; a recipe may give the boxes of a piece (`crops`).

Windows of `length_s` start at multiples of `stride_s`, as many as fit into the shorter of recording and picture. Two
kinds are left out, and counted in the ledger: those that start before the player does, and those in which every 10 ms
are quiet. Some recordings are in the archive several times, in different pieces: they are one take, which is the
`group` that never crosses splits.

Source: B. Li, X. Liu, K. Dinesh, Z. Duan, G. Sharma, "Creating a Multitrack Classical Music Performance Dataset for
Multimodal Music Analysis", 2018.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, pairwise
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import soundfile
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from xmbench.errors import DocumentError, UpstreamError, VideoError
from xmbench.interfaces import Entry, Raw, RawClip, RawImage, RawPair, Rejected, Task
from xmbench.media import audio, video
from xmbench.media.video import VideoFacts

INSTRUMENTS = {
    "vn": "violin",
    "va": "viola",
    "vc": "cello",
    "db": "double_bass",
    "fl": "flute",
    "ob": "oboe",
    "cl": "clarinet",
    "sax": "sax",
    "bn": "bassoon",
    "tpt": "trumpet",
    "hn": "horn",
    "tbn": "trombone",
    "tba": "tuba",
}
COLUMNS = {"piece": str, "part": int, "start_s": float}
_FOLDER = re.compile(r"(?P<number>[0-9]{2,3})_(?P<name>[A-Za-z0-9-]+)_(?P<instruments>[a-z]+(?:_[a-z]+)*)")
_TRACK = re.compile(r"AuSep_(?P<part>[0-9]{1,2})_.*\.(?:wav|flac)")
_FRAME_S = 0.010
_BLOCK_FRAMES = 1000
_LAYOUT = "NN_Name_i1_i2.../Vid_*.mp4 and one AuSep_<part>_*.wav per instrument"
Box = tuple[int, int, int, int]
Value = TypeVar("Value")


class Files(Protocol):
    """What is read of the upstream files: an `Upstream` is one."""

    def names(self) -> tuple[str, ...]: ...
    def path(self, name: str) -> Path: ...


class WindowOptions(BaseModel):
    """How pieces become windows.

    Attributes:
        length_s, stride_s: of the windows.
        quiet_db: 10 ms of sound this far below the loudest 10 ms of the recording are quiet.
        crops: boxes (left, top, width, height) in pixels of the upright video, one per part, by the name of the
            piece's directory; pieces that are not named are divided into equal columns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    length_s: float = Field(default=0.5, gt=0, le=60)
    stride_s: float = Field(default=0.1, ge=0.001, le=60)
    quiet_db: float = Field(default=-40.0, lt=0)
    crops: dict[str, tuple[Box, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _milliseconds(self) -> WindowOptions:
        if (video.exact(self.stride_s) * 1000).denominator != 1:
            raise ValueError("stride_s is not a whole number of milliseconds, which the names of items count")
        return self

    @property
    def stride(self) -> Fraction:
        """Exactly."""
        return video.exact(self.stride_s)


@dataclass(frozen=True, slots=True)
class Piece:
    """One directory of the archive: names of its files, and the instrument of each part."""

    folder: str
    number: str
    title: str
    instruments: tuple[str, ...]
    video: str
    tracks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Track:
    """One recording.

    Attributes:
        take: sha256 of its samples and rate.
        duration_s: of the recording; 0 where it cannot be read.
        quiet: of each 10 ms, whether it is quiet.
        problem: why it cannot be read, or "".
    """

    take: str
    duration_s: Fraction
    quiet: NDArray[np.bool_]
    problem: str = ""


def pieces(names: Iterable[str], task: Task) -> list[Piece]:
    """The pieces of an archive, by number.

    Raises:
        UpstreamError: directories or files that are not in the layout, parts that are missing, instruments that the
            recipe does not have; all of them are listed.
    """
    folders: dict[str, list[str]] = {}
    for name in names:
        parts = name.split("/")
        if len(parts) >= 2 and parts[-2][:1].isdigit():
            folders.setdefault(parts[-2], []).append(name)
    found, problems = [], []
    for folder, files in sorted(folders.items()):
        piece = _piece(folder, files, task)
        if isinstance(piece, Piece):
            found.append(piece)
        else:
            problems += [f"{folder}: {problem}" for problem in piece]
    numbers = [piece.number for piece in found]
    problems += [f"two pieces have the number {n}" for n in sorted({n for n in numbers if numbers.count(n) > 1})]
    if problems or not found:
        raise UpstreamError(
            "the pieces are not in the layout of URMP", problems=problems or ["no piece at all"], expected=_LAYOUT
        )
    return found


def _piece(folder: str, files: Sequence[str], task: Task) -> Piece | list[str]:
    """One piece, or what is wrong with it."""
    named = _FOLDER.fullmatch(folder)
    if named is None:
        return ["not NN_Name_i1_i2..."]
    short = named["instruments"].split("_")
    problems = [f"'{name}' is no instrument of URMP" for name in short if name not in INSTRUMENTS]
    instruments = tuple(INSTRUMENTS.get(name, name) for name in short)
    absent = sorted(set(instruments) & set(INSTRUMENTS.values()) - set(task.class_names))
    problems += [f"'{name}' is not a class of the recipe" for name in absent]
    videos = [file for file in files if file.rpartition("/")[2].startswith("Vid_")]
    if len(videos) != 1:
        problems.append(f"{len(videos)} files Vid_*, expected 1")
    tracks: dict[int, list[str]] = {}
    for file in files:
        if part := _TRACK.fullmatch(file.rpartition("/")[2]):
            tracks.setdefault(int(part["part"]), []).append(file)
    for part_number in sorted({*tracks, *range(1, len(short) + 1)}):
        there = len(tracks.get(part_number, ()))
        wanted = 1 if 1 <= part_number <= len(short) else 0
        if there != wanted:
            problems.append(f"{there} files AuSep_{part_number}_*, expected {wanted}")
    if problems:
        return problems
    ordered = tuple(tracks[part_number][0] for part_number in range(1, len(short) + 1))
    return Piece(folder, named["number"], f"{named['number']}_{named['name']}", instruments, videos[0], ordered)


def entries(files: Files, options: WindowOptions, task: Task) -> list[Entry]:
    """One entry per window and player, in the order of piece, time and part, without decoding any picture.

    Raises:
        UpstreamError: as `pieces`.
        DocumentError: boxes of a recipe that do not fit a piece.
    """
    found: list[Entry] = []
    takes: dict[str, str] = {}
    for piece in pieces(files.names(), task):
        seen = _facts(files.path(piece.video))
        boxes = _boxes(piece, seen, options)
        for part, name in enumerate(piece.tracks, 1):
            track = measured(files.path(name), options.quiet_db)
            own = f"{piece.number}-p{part}"
            take = takes.setdefault(track.take, own) if track.take else own
            found += _windows(piece, part, track, seen, boxes[part - 1], f"take-{take}", options, task)
    return sorted(found, key=lambda entry: entry.key)


def _facts(path: Path) -> VideoFacts | None:
    """What a video holds; None where it cannot be read: the reason comes up again where it is decoded."""
    try:
        return video.facts(path)
    except VideoError:
        return None


def _boxes(piece: Piece, seen: VideoFacts | None, options: WindowOptions) -> Sequence[Box]:
    """The box of each part."""
    number, given = len(piece.instruments), options.crops.get(piece.folder)
    if seen is None:
        return [(0, 0, 1, 1)] * number
    if given is None:
        edges = [round(i * seen.width_px / number) for i in range(number + 1)]
        return [(left, 0, right - left, seen.height_px) for left, right in pairwise(edges)]
    problems = [
        f"part {part}: {list(box)}"
        for part, box in enumerate(given, 1)
        if min(box[:2]) < 0 or min(box[2:]) < 1 or box[0] + box[2] > seen.width_px or box[1] + box[3] > seen.height_px
    ]
    if len(given) != number:
        problems.append(f"{len(given)} boxes for {number} parts")
    if problems:
        raise DocumentError(
            "boxes that do not fit the video",
            where=f"crops of {piece.folder}",
            problems=problems,
            expected=f"[left, top, width, height] inside {seen.width_px} x {seen.height_px} pixels, one per part",
        )
    return given


def _windows(
    piece: Piece,
    part: int,
    track: Track,
    seen: VideoFacts | None,
    box: Box,
    group: str,
    options: WindowOptions,
    task: Task,
) -> Iterator[Entry]:
    """The windows of one part. Where none fits, or nothing can be read, there is one, to be counted."""
    known = [time for time in (track.duration_s, seen.duration_s if seen else Fraction(0)) if time]
    number = video.window_count(min(known), options.length_s, options.stride) if known else 0
    for index in range(max(1, number)):
        start = index * options.stride
        rejected: Rejected | None
        if track.problem:
            rejected = Rejected("read", "corrupt-audio", f"{track.problem}: {piece.tracks[part - 1]}")
        elif not number:
            lasts = float(min(known, default=Fraction(0)))
            rejected = Rejected("window", "too-short", f"{lasts:.3f} s, less than one window")
        else:
            rejected = _quiet(track, start, options)
        yield Entry(
            key=f"{piece.number}-{int(start * 1000):07d}-p{part}",
            split="any",
            label=task.class_names.index(piece.instruments[part - 1]),
            group=group,
            locator=(piece.video, piece.tracks[part - 1], index, box, rejected),
            attributes={"piece": piece.title, "part": part, "start_s": float(start)},
        )


def _quiet(track: Track, start: Fraction, options: WindowOptions) -> Rejected | None:
    """Why a window is left out for its silence; None for one that is used."""
    first = int(start / Fraction("0.01"))
    loud = ~track.quiet
    if not loud.any() or first < int(loud.argmax()):
        return Rejected("window", "leading-silence", "before the first sound of the player", filtered=True)
    last = -(-(start + video.exact(options.length_s)) // Fraction("0.01"))
    if not loud[first : int(last)].any():
        return Rejected("window", "silent", f"no 10 ms above {options.quiet_db} dB of the loudest", filtered=True)
    return None


def measured(path: Path, quiet_db: float) -> Track:
    """Reads a recording once, a block at a time: its digest, its duration, where it is quiet."""
    digest, energies, samples = hashlib.sha256(), [], 0
    try:
        with soundfile.SoundFile(path) as file:
            rate = int(file.samplerate)
            frame = max(1, round(_FRAME_S * rate))
            digest.update(f"{rate}\n".encode())
            for block in file.blocks(_BLOCK_FRAMES * frame, dtype="int32", always_2d=True):
                digest.update(np.ascontiguousarray(block, dtype="<i4").tobytes())
                mono = block.mean(axis=1) / 2.0**31
                samples += len(mono)
                padded = np.zeros(-(-len(mono) // frame) * frame)
                padded[: len(mono)] = mono
                energies.append(np.square(padded).reshape(-1, frame).mean(axis=1))
    except (soundfile.LibsndfileError, RuntimeError, ValueError, OSError, MemoryError) as error:
        said = str(getattr(error, "error_string", error)).strip().rstrip(".")
        return Track("", Fraction(0), np.zeros(0, bool), f"not a readable recording ({said[:120]})")
    if not samples:
        return Track("", Fraction(0), np.zeros(0, bool), "a recording without samples")
    energy = np.concatenate(energies)
    floor = energy.max() * 10.0 ** (quiet_db / 10.0)
    return Track(digest.hexdigest(), Fraction(samples, rate), (energy < floor) | (energy == 0.0))


# --------------------------------------------------------------------------------------------------- reading
def read(files: Files, options: WindowOptions, task: Task, wanted: Sequence[Entry]) -> Iterator[Raw | Rejected]:
    """A picture uint8 (H, W, 3) with a clip int16 at the recipe's rate per entry, in the order given.

    Consecutive entries of one piece in the order of time take one pass over its video and over each recording.
    """
    for run in _runs(wanted):
        yield from _read_run(files, options, task, run)


def _runs(wanted: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Consecutive entries of one video with ascending times."""
    for _, same in groupby(wanted, key=lambda entry: entry.locator[0]):
        run: list[Entry] = []
        for entry in same:
            if run and entry.locator[2] < run[-1].locator[2]:
                yield run
                run = []
            run.append(entry)
        yield run


def _read_run(files: Files, options: WindowOptions, task: Task, run: list[Entry]) -> Iterator[RawPair | Rejected]:
    due = [entry for entry in run if entry.locator[4] is None]
    times: dict[str, list[Fraction]] = {}
    for entry in due:
        times.setdefault(entry.locator[1], []).append(entry.locator[2] * options.stride)
    pictures = _guarded(_pictures(files, run[0].locator[0], [entry.locator[2] * options.stride for entry in due]))
    rate = task.audio.sample_rate_hz
    clips = {
        name: _guarded(video.sound(files.path(name), starts, options.length_s, rate)) for name, starts in times.items()
    }
    for entry in run:
        _, track, _, box, rejected = entry.locator
        yield rejected if rejected is not None else _pair(next(pictures), next(clips[track]), box, rate)


def _pictures(files: Files, name: str, times: list[Fraction]) -> Iterator[NDArray[np.uint8] | None]:
    if times:
        yield from video.frames(files.path(name), times)


def _pair(
    pixels: NDArray[np.uint8] | Rejected | None, samples: NDArray[np.float32] | Rejected | None, box: Box, rate: int
) -> RawPair | Rejected:
    if isinstance(pixels, Rejected):
        return replace(pixels, reason=f"video-{pixels.reason}")
    if isinstance(samples, Rejected):
        return replace(samples, reason="corrupt-audio")
    if pixels is None or samples is None:
        what = "video" if pixels is None else "recording"
        return Rejected("read", f"{what}-ended", f"the {what} ends before this window does, or was cut off")
    left, top, width, height = box
    player = np.ascontiguousarray(pixels[top : top + height, left : left + width])
    return RawPair(RawImage(player), RawClip(audio.to_int16(samples), rate))


def _guarded(values: Iterator[Value]) -> Iterator[Value | Rejected]:
    """Values as long as they can be read; then the reason, for each that is asked for."""
    try:
        yield from values
    except VideoError as error:
        while True:
            yield Rejected("read", error.reason, error.what)
