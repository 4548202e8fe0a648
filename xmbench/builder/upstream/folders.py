"""A folder of many small upstream files as one file of a recipe: one sha256 over the list of what is in it.

The list has one line per file, sorted by name, `<sha256> <name>`: for a sound the sha256 of its rate and decoded
samples and the name without its ending, so that a lossless re-encoding (wav, flac) is as good as the first; for
anything else that of its bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xmbench.errors import MediaError
from xmbench.formats.dataset import samples_digest
from xmbench.formats.recipe import FileSpec
from xmbench.media import audio

SOUNDS = (".wav", ".flac")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds.

    Attributes:
        digest: sha256 of the list.
        members: one spec per file, named `<folder>/<path in it>`, with the sha256 and size of its bytes.
        paths: where each lies, by name.
    """

    digest: str
    members: tuple[FileSpec, ...]
    paths: dict[str, Path]


def matching(root: Path, spec: FileSpec) -> list[Path]:
    """Files of a folder that match a spec's pattern, sorted by their names below it; endings are equal in kind."""
    patterns = {
        spec.pattern,
        *(spec.pattern.removesuffix(end) + other for end in SOUNDS for other in SOUNDS if spec.pattern.endswith(end)),
    }
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def listed(root: Path, spec: FileSpec) -> Listing:
    """Reads every file of a folder once.

    Raises:
        OSError: a file cannot be read.
    """
    members, paths, lines = [], {}, []
    for name, path, data in _contents(root, spec):
        raw = hashlib.sha256(data).hexdigest()
        members.append(FileSpec(name=f"{spec.name}/{name}", sha256=raw, bytes=len(data), split=spec.split))
        paths[f"{spec.name}/{name}"] = path
        lines.append(_line(name, data, raw))
    return Listing(hashlib.sha256("".join(sorted(lines)).encode()).hexdigest(), tuple(members), paths)


def _contents(root: Path, spec: FileSpec) -> Iterator[tuple[str, Path, bytes]]:
    for path in matching(root, spec):
        yield path.relative_to(root).as_posix(), path, path.read_bytes()


def _line(name: str, data: bytes, raw: str) -> str:
    stem, dot, ending = name.rpartition(".")
    if dot + ending.lower() in SOUNDS:
        try:
            samples, rate = audio.decode_mono_int16(data)
            return f"{samples_digest(samples, rate).hex()} {stem}\n"
        except MediaError:
            pass  # a sound that cannot be read stands there with its bytes
    return f"{raw} {name}\n"
