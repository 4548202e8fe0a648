"""A directory of many small upstream files as one file of a recipe: one sha256 over the list of its files.

The list has one line per file, sorted by name, `<sha256> <name>`: for a sound the sha256 of its rate and decoded
samples and the name without its extension, so that a lossless re-encoding (wav, flac) is equal; for anything else that
of its bytes. Hidden files (`._name`, which macOS leaves in archives) and copies made by a browser
or file manager (`name (1).wav` with the content of `name.wav`) are skipped.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xmbench.builder.upstream import contents
from xmbench.builder.upstream.contents import WrongContentError
from xmbench.errors import MediaError
from xmbench.formats.dataset import samples_digest
from xmbench.formats.recipe import FileSpec
from xmbench.media import audio

SOUNDS = (".wav", ".flac")
_LARGEST_MEMBER = 1 << 30
_COPY = re.compile(r" \(\d+\)(?=\.[^./]+$)")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a directory. There may be 160,000 of them in every process: no path, no document for each.

    Attributes:
        folder: name of the directory in the recipe.
        name: `<folder>/<path in it>`.
        sha256, bytes: of its bytes.
        place: its path in the directory where the file system spells it otherwise, else "".
    """

    folder: str
    name: str
    sha256: str
    bytes: int
    place: str = ""

    def path(self, root: Path) -> Path:
        """Its path, in the directory's."""
        return root / (self.place or self.name[len(self.folder) + 1 :])


@dataclass(frozen=True, slots=True)
class Listing:
    """The content of a directory.

    Attributes:
        digest: sha256 of the list.
        members: its files.
    """

    digest: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    name: str
    path: Path
    bytes: int
    sha256: str
    line: str


def matching(root: Path, spec: FileSpec) -> list[Path]:
    """Files of a directory that match a spec's pattern, sorted by relative name; sound extensions are equivalent."""
    patterns = {
        spec.pattern,
        *(spec.pattern.removesuffix(end) + other for end in SOUNDS for other in SOUNDS if spec.pattern.endswith(end)),
    }
    found = {path for pattern in patterns for path in root.glob(pattern) if not path.is_dir()}
    seen = [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    return sorted(seen, key=lambda path: path.relative_to(root).as_posix())


def listed(root: Path, spec: FileSpec) -> Listing:
    """Reads every file of a directory; digests of files that are unchanged since the last time are cached.

    Raises:
        WrongContentError: files that are empty, or whose names other file systems cannot hold.
        OSError: a file cannot be read.
    """
    found = {member.name: member for member in _members(root, spec)}
    copies = {
        name
        for name, member in found.items()
        if _COPY.search(name) and (first := found.get(_COPY.sub("", name))) and first.sha256 == member.sha256
    }
    kept = [member for name, member in found.items() if name not in copies]
    _refuse(spec, [member.name for member in kept if not member.bytes], "empty file(s)", "fetch them again")
    lines = sorted(member.line for member in kept)
    return Listing(
        hashlib.sha256("".join(lines).encode()).hexdigest(), tuple(_kept(member, root, spec) for member in kept)
    )


def _kept(member: _Read, root: Path, spec: FileSpec) -> Member:
    place = member.path.relative_to(root).as_posix()
    return Member(
        spec.name, f"{spec.name}/{member.name}", member.sha256, member.bytes, "" if place == member.name else place
    )


def _members(root: Path, spec: FileSpec) -> Iterator[_Read]:
    paths = matching(root, spec)
    names = [path.relative_to(root).as_posix() for path in paths]
    odd = [ascii(name) for name in names if not _usable(name)]
    _refuse(spec, odd, "file(s) with names that cannot be kept (line breaks, or not UTF-8)", "rename or remove them")
    place = contents.remembered_file(root, f"folder {spec.pattern}")
    before, now, read = contents.recall(place), {}, 0
    for name, path in zip(names, paths, strict=True):
        signature = contents.signature(path)
        known = before.get(name)
        if signature and known and known[0] == signature:
            sha256, line = known[1:]
        else:
            sha256, line = _digested(name, path)
            read += path.stat().st_size
        now[name] = [signature, sha256, line]
        yield _Read(unicodedata.normalize("NFC", name), path, path.stat().st_size, sha256, line)
    if read >= contents.REMEMBERED_BYTES:
        contents.keep(place, {name: value for name, value in now.items() if value[0]})


def _digested(name: str, path: Path) -> tuple[str, str]:
    """sha256 of a file's bytes, and its line in the list."""
    size = contents.file_size(path, _LARGEST_MEMBER)
    stem, dot, ending = unicodedata.normalize("NFC", name).rpartition(".")
    if dot + ending.lower() not in SOUNDS:
        raw = contents.measure(path, False, size).sha256
        return raw, f"{raw} {stem}{dot}{ending}\n"
    data = path.read_bytes()
    raw = hashlib.sha256(data).hexdigest()
    try:
        samples, rate = audio.decode_mono_int16(data)
    except MediaError:
        return raw, f"{raw} {stem}{dot}{ending}\n"  # an unreadable sound is listed by its bytes
    return raw, f"{samples_digest(samples, rate).hex()} {stem}\n"


def _usable(name: str) -> bool:
    return name.isprintable() and name.encode("utf-8", "replace").decode() == name


def _refuse(spec: FileSpec, names: list[str], what: str, todo: str) -> None:
    if names:
        shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else "")
        raise WrongContentError(f"{spec.name}: {what}: {shown}; {todo}")
