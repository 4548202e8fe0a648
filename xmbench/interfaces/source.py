"""Source: one upstream corpus, or a generator of clips, and the values that it yields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces.task import Modality, Task

if TYPE_CHECKING:
    from pydantic import BaseModel


Attribute = str | int | float
AttributeTypes = Mapping[str, type[str] | type[int] | type[float]]


@dataclass(frozen=True, slots=True)
class Link:
    """A recording, or a part of one, on a site that yt-dlp knows.

    Attributes:
        url: http or https.
        start_s, end_s: of the part; None for the end of the recording.
        licence: as its publisher states it.
    """

    url: str
    start_s: float = 0.0
    end_s: float | None = None
    licence: str = ""

    @property
    def is_part(self) -> bool:
        """Whether not all of the recording is wanted."""
        return self.start_s > 0 or self.end_s is not None

    @property
    def name(self) -> str:
        """Its address with the part as a media fragment (W3C Media Fragments 1.0), `#t=10,20`."""
        end = "" if self.end_s is None else f",{self.end_s:g}"
        return f"{self.url}#t={self.start_s:g}{end}" if self.is_part else self.url


class Upstream(Protocol):
    """The verified upstream files of one source. Content is always uncompressed."""

    def names(self) -> tuple[str, ...]:
        """Names of the available files, as in the recipe."""
        ...

    def read(self, name: str) -> bytes:
        """The content of one small file.

        Raises:
            UpstreamError: the file is missing, unreachable, truncated or not the one that was published.
        """
        ...

    def open(self, name: str) -> BinaryIO:
        """A stream over the content of one file of any size; the caller closes it. Raises as `read`."""
        ...

    def path(self, name: str) -> Path:
        """A file that holds the content of `name`, for libraries that need one; it must not be changed.

        Raises as `read`. A file that is stored compressed is unpacked into the cache once.
        """
        ...

    def item(self, url: str) -> Path | Rejected:
        """One item of a source whose items are fetched one by one: its file in the cache, or why there is none.

        Requests are paced and counted; a fetched item is not fetched again.
        """
        ...

    def recordings(self, links: Sequence[Link]) -> list[Path | Rejected]:
        """The sound of each linked recording: a mono 16-bit flac file in the cache, or why there is none.

        Requests are paced; what was fetched, and what is gone for good, is not requested again.

        Raises:
            PrerequisiteError: yt-dlp, or a program that it needs for these links, is missing.
            UnfinishedError: a site refuses further requests for now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One item that a source offers, before anything of it is decoded.

    Attributes:
        key: unique in the source and stable across rebuilds, matches `^[a-z0-9-]+$`.
        split: "train" or "test" as published, "any" where the source has no splits.
        label: index of the class, 0..K-1.
        group: what must not cross splits (speaker, video, piece); the key where items are independent.
        locator: what the source needs to read the item; opaque to others, picklable.
        attributes: columns of the finished row that the source provides (text, speaker, engine ...).
    """

    key: str
    split: str
    label: int
    group: str
    locator: tuple[Any, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawImage:
    """Pixels as read: uint8 (H, W, C). `attributes` overrides the entry's."""

    pixels: NDArray[np.uint8]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawClip:
    """Mono samples as read: int16 (T,), at the source's own rate. `attributes` overrides the entry's."""

    samples: NDArray[np.int16]
    sample_rate_hz: int
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawPair:
    """An image and the clip that belongs to it, of one entry; attributes of both become columns of the row."""

    image: RawImage
    clip: RawClip
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


Raw = RawImage | RawClip | RawPair


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that did not become a row.

    Attributes:
        stage: where: "read", "speech", "trim", "resize" ...
        reason: short and countable, kebab-case: "too-long", "silent", "corrupt-image".
        temporary: a retry may succeed (network, rate limit). False with `filtered`, which is a decision.
        filtered: left out by a rule of the recipe; otherwise it failed.
        detail: one readable sentence.
    """

    stage: str
    reason: str
    detail: str = ""
    filtered: bool = False
    temporary: bool = False


class Source(Protocol):
    """One upstream corpus, or a generator of clips: what it holds, and how to read one item.

    A source opens no file and no connection itself: it reads through `Upstream`.

    Attributes:
        yields: {"image"}, {"audio"}, or both for a joint source, which reads a `RawPair` of each entry. Older
            sources have `modality` instead ("image" or "audio"): see `yielded`.
    """

    name: str
    yields: frozenset[Modality]
    Options: type[BaseModel]

    def versions(self, options: Any) -> dict[str, str]:
        """Names and versions of everything that shapes the content (a speech engine, a decoder)."""
        ...

    def entries(self, upstream: Upstream, options: Any, task: Task) -> Sequence[Entry]:
        """Every item, in a stable order, without decoding any.

        Raises:
            UpstreamError: the content of a file is not as expected.
        """
        ...

    def read(self, upstream: Upstream, options: Any, task: Task, entries: Sequence[Entry]) -> Iterator[Raw | Rejected]:
        """One value per entry, in the order given. A bad item is a `Rejected`, never an exception.

        Entries are read a shard at a time, sorted by key, so that what neighbours share (a video, a piece) is decoded
        once; a generator that keeps nothing of what it has yielded keeps memory flat.
        """
        ...


def yielded(source: Source) -> frozenset[Modality]:
    """What a source yields; an older source has `modality` instead."""
    known: frozenset[Modality] | None = getattr(source, "yields", None)
    return frozenset(known) if known is not None else frozenset({getattr(source, "modality", "image")})


@runtime_checkable
class Attributed(Protocol):
    """What a source has in addition when it adds columns: without it they are found in the entries, as text."""

    def attributes(self, options: Any) -> AttributeTypes:
        """Name and type (str, int or float) of every column that entries or read values may have."""
        ...


@runtime_checkable
class Linked(Protocol):
    """What a source has in addition when its files may be lists of linked recordings."""

    def links(self, upstream: Upstream, options: Any, task: Task) -> list[Link]:
        """The recordings that the files name; none where they hold the recordings themselves. Fetches nothing."""
        ...


@runtime_checkable
class Countable(Protocol):
    """What a source of files has in addition when it knows, before fetching, how many items they hold."""

    def counts(self, sizes: Mapping[str, int], options: Any) -> dict[str, int]:
        """Items of each split ("train", "test" or "any").

        Args:
            sizes: uncompressed bytes of each file, by the name in the recipe.
            options: of the source.
        """
        ...


@runtime_checkable
class Compared(Protocol):
    """What a source has in addition when it knows what its corpus holds, and uses one that differs."""

    def differences(self, entries: Sequence[Entry], options: Any, task: Task) -> list[str]:
        """How the items differ from the published ones, a line each; reported, and kept in the manifest.

        Args:
            entries: every item of the files, before any limit.
            options: of the source.
            task: of the recipe.
        """
        ...
