"""What is known of linked recordings: those that were fetched, and how the others failed; kept in the cache.

A recording has a record, `<key>.json`, written last, and its sound, `<key>.flac`: without its record it is not there.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xmbench.builder.upstream import contents
from xmbench.builder.upstream.contents import WrongContentError
from xmbench.formats.dataset import FetchedRecord
from xmbench.interfaces import Link
from xmbench.storage.cache import cache_folder
from xmbench.storage.files import make_folder, write_text

_LARGEST_SOUND = 1 << 33


@dataclass(frozen=True, slots=True)
class Failed:
    """How a recording failed the last time.

    Attributes:
        reason, detail, temporary: as in `Rejected`.
        attempts: how often it was requested.
        asked_with: version of yt-dlp, and whether cookies were given: with others it may not fail.
    """

    reason: str
    detail: str
    temporary: bool
    attempts: int
    asked_with: str


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one recording in the cache."""

    key: str

    @classmethod
    def of(cls, link: Link) -> Place:
        """By the address and the part."""
        return cls(hashlib.sha256(link.name.encode(errors="replace")).hexdigest())

    @property
    def sound(self) -> Path:
        """Mono 16-bit flac."""
        return links_folder() / self.key[:2] / f"{self.key}.flac"

    @property
    def record(self) -> Path:
        return self.sound.with_suffix(".json")

    @property
    def lock(self) -> Path:
        return links_folder() / "jobs" / f"{self.key}.lock"

    @property
    def job(self) -> Path:
        """Directory of a running fetch."""
        return links_folder() / "jobs" / self.key


def links_folder() -> Path:
    """Directory of all linked recordings."""
    return cache_folder() / "links"


def fetched(link: Link) -> FetchedRecord | None:
    """The record of a recording whose sound is in the cache and undamaged."""
    place = Place.of(link)
    known = contents.recall(place.record)
    if "sound_sha256" not in known or not place.sound.is_file():
        return None
    try:
        found = contents.measure(place.sound, False, _LARGEST_SOUND)
    except (OSError, WrongContentError):
        return None
    if found.sha256 != known.pop("sound_sha256"):
        return None
    return FetchedRecord(**{**known, "licence": link.licence})


def failed(link: Link) -> Failed | None:
    """How a recording failed the last time, where it did."""
    known = contents.recall(Place.of(link).record)
    return Failed(**known["failed"]) if "failed" in known else None


def keep_fetched(link: Link, sound: Path, record: FetchedRecord) -> None:
    """Moves the sound of a recording into the cache, then writes its record."""
    place = Place.of(link)
    digest = contents.measure(sound, False, _LARGEST_SOUND).sha256
    make_folder(place.sound.parent)
    place.record.unlink(missing_ok=True)  # never a record with another sound
    sound.replace(place.sound)
    _write(place.record, {**record.model_dump(exclude={"licence"}), "sound_sha256": digest})


def keep_failed(link: Link, failure: Failed) -> None:
    """Writes how a recording failed."""
    _write(Place.of(link).record, {"failed": asdict(failure)})


def _write(path: Path, value: dict[str, Any]) -> None:
    make_folder(path.parent)
    write_text(path, json.dumps(value, indent=1))
