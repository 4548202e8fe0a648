"""Candidates in a user's directory: SoundNet as released, videos, or directories of photographs and sounds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from xmbench.errors import UpstreamError
from xmbench.execution.progress import Progress
from xmbench.formats.harvest import CandidateSpec, HarvestSpec
from xmbench.harvester.archives import Tree
from xmbench.harvester.candidates import Candidate, Candidates, Place, collected, made_id

VIDEOS = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".mpg", ".mpeg", ".flv", ".m4v", ".wmv", ".3gp")
IMAGES = (".jpg", ".jpeg", ".png")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aac")
_ADDRESSES = ("https://", "http://")
_STEPS = frozenset(("", ".", ".."))


def found_in(spec: HarvestSpec, root: Path, listed: Path | None, work: Path, progress: Progress) -> Candidates:
    """Every candidate.

    Args:
        spec: where to look.
        root: the user's directory.
        listed: a list of frames or videos, instead of those in the directory.
        work: for what has to be decompressed.
        progress: called with lines of progress.

    Raises:
        UpstreamError: the directory is not in the layout.
    """
    notes: list[str] = []

    def each() -> Iterator[Candidate]:
        for part in spec.candidates:
            place = root / part.folder
            if part.layout == "soundnet":
                yield from _soundnet(part, place, spec.seconds, listed, work, progress, notes)
            elif part.layout == "videos":
                names = _listed_videos(listed, notes) if listed else _files(place, VIDEOS, notes)
                yield from _videos(part, names)
            else:
                yield from _folders(part, place, spec.seed, notes)

    found = collected(each(), notes)
    if not len(found):
        raise UpstreamError("no candidate", where=root, expected="at least one frame or video", problems=found.notes)
    return found


def guessed(root: Path, listed: Path | None) -> CandidateSpec:
    """The layout of a directory that nothing is said about."""
    if listed is not None:
        return CandidateSpec(layout="soundnet" if _names_frames(listed) else "videos")
    if (root / "lists").is_dir():
        return CandidateSpec(layout="soundnet")
    if (root / "photographs").is_dir() and (root / "sounds").is_dir():
        return CandidateSpec(layout="folders")
    return CandidateSpec(layout="videos")


# ------------------------------------------------------------------------------------------------ SoundNet
def _soundnet(
    part: CandidateSpec,
    root: Path,
    seconds: float,
    listed: Path | None,
    work: Path,
    progress: Progress,
    notes: list[str],
) -> Iterator[Candidate]:
    """Frames of the lists, with the part of the sound that each stands for.

    Frame j of a video stands for its seconds 5j to 5j + 5, as in SoundNet's own loader.
    """
    lists = [listed] if listed else sorted((root / "lists").glob(part.lists))
    if not lists:
        raise UpstreamError("no list of frames", where=root / "lists", expected=f"files like {part.lists}")
    frames, sounds = (Tree(root, name, work, progress) for name in ("frames", "mp3"))
    chosen: Iterable[tuple[str, int]] = _chosen_frames(lists, part.frames_per_video, notes)
    if frames.is_archive or sounds.is_archive:  # otherwise two million names need not be in memory
        chosen = list(chosen)
        frames.find({name for name, _ in chosen})
        sounds.find({_sound_of(name) for name, _ in chosen})
        notes += [*frames.notes, *sounds.notes]
    for name, position in chosen:
        yield Candidate(
            made_id(name.rpartition(".")[0]),
            name.rpartition("/")[0],
            name,
            frames.place(name),
            sounds.place(_sound_of(name)),
            seconds * position,
        )


def _sound_of(frame: str) -> str:
    return f"{frame.rpartition('/')[0]}.mp3"


def _chosen_frames(lists: Iterable[Path], most: int, notes: list[str]) -> Iterator[tuple[str, int]]:
    """The middle frames of each video, with their position among its frames; a line names one, consecutively."""
    for path in lists:
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise UpstreamError(f"the list cannot be read ({error.strerror})", where=path) from error
        names = [line.split(maxsplit=1)[0].partition("frames/")[2] for line in lines if line.strip()]
        good = [name for name in names if _is_plain(name)]
        if len(good) < len(names):
            notes.append(f"{path.name}: {len(names) - len(good):,} of {len(names):,} lines name no frame")
        for _, frames in groupby(good, key=lambda name: name.rpartition("/")[0]):
            known = list(dict.fromkeys(frames))
            first = max(0, (len(known) - most) // 2)
            yield from ((name, first + i) for i, name in enumerate(known[first : first + most]))


def _is_plain(name: str) -> bool:
    """Whether a path stays below its directory, and can be one."""
    return "/" in name and name.isprintable() and _STEPS.isdisjoint(name.split("/"))


def _names_frames(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return "frames/" in file.read(1 << 16)
    except OSError as error:
        raise UpstreamError(f"the list cannot be read ({error.strerror})", where=path) from error


# -------------------------------------------------------------------------------------------------- videos
def _videos(part: CandidateSpec, names: Iterable[str]) -> Iterator[Candidate]:
    for name in names:
        below = name if name.startswith(_ADDRESSES) or not part.folder else f"{part.folder}/{name}"
        place = Place(below)
        for i in range(part.frames_per_video):
            number = (str(i),) if part.frames_per_video > 1 else ()
            yield Candidate(made_id(below, *number), below, below, place, place, 0.0, i, part.frames_per_video)


def _listed_videos(listed: Path, notes: list[str]) -> list[str]:
    lines = [line.strip() for line in listed.read_text(encoding="utf-8", errors="replace").splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]
    good = [name for name in names if name.startswith(_ADDRESSES) or _is_plain(f"x/{name}")]
    if len(good) < len(names):
        notes.append(f"{listed.name}: {len(names) - len(good):,} of {len(names):,} lines name no video below it")
    return good


def _files(folder: Path, endings: tuple[str, ...], notes: list[str]) -> list[str]:
    """Names of files of some kinds below a directory, sorted; hidden ones are none."""
    if not folder.is_dir():
        raise UpstreamError("no such directory", where=folder, todo="make it, or give another one with --source")
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in endings)
    names = [path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)]
    usable = sorted(name for name in names if name.isprintable())
    if len(usable) < len(names):
        notes.append(f"{folder.name}: {len(names) - len(usable):,} names that are not UTF-8, or hold line breaks")
    return usable


# -------------------------------------------------------------------------------------------- photographs and sounds
def _folders(part: CandidateSpec, root: Path, seed: int, notes: list[str]) -> Iterator[Candidate]:
    """Each photograph with one sound; the sound is the group, so that no sound and no photograph is in two."""
    photographs = _by_class(root / part.photographs, IMAGES, notes)
    sounds = _by_class(root / part.sounds, SOUNDS, notes)
    unknown = [f"'{name}' is no class of sounds" for name in part.links if name not in sounds]
    unknown += [f"'{name}' is no class of photographs" for name in part.links.values() if name not in photographs]
    if unknown:
        raise UpstreamError("the links name classes that are not there", where=root, problems=unknown)
    linked = {photo: sound for sound, photo in part.links.items()}
    others = [name for kind, names in sounds.items() if kind not in part.links for name in names]
    prefix = f"{part.folder}/" if part.folder else ""
    for kind, names in photographs.items():
        pool = sounds[linked[kind]] if kind in linked else others
        if not pool:
            continue
        order = sorted(names, key=lambda name: _hashed(seed, name))
        for i, name in enumerate(order):
            sound = f"{prefix}{part.sounds}/{pool[(_hashed(seed, kind) + i) % len(pool)]}"
            photo = f"{prefix}{part.photographs}/{name}"
            key = made_id(part.photographs, name.rpartition(".")[0])
            yield Candidate(key, sound, photo, Place(photo), Place(sound))


def _by_class(folder: Path, endings: tuple[str, ...], notes: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in _files(folder, endings, notes):
        kind, _, rest = name.partition("/")
        if rest:
            found.setdefault(kind, []).append(name)
    return found


def _hashed(seed: int, name: str) -> int:
    digest = hashlib.sha256(f"{seed}\0{name}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big")
