"""Chunks of whole recordings: cut into pieces of one length, divided between the splits by recording.

The recordings are files, `<class>/<name>.wav` or `.flac`, or lists of links to them (`_links`), which are fetched. The
pieces of one recording sound alike, so a recording is in one split with all of them, also where it has two names. Which
recordings are the test is decided by a seeded hash of their names, within each class. Pieces in which nothing is played
are left out.

Source of the rule: L. Chen, S. Srivastava, Z. Duan, C. Xu, "Deep Cross-Modal Audio-Visual Generation", 2017, section 4
(INIS: 77 solo performances, 7,200 chunks of 0.5 s). How its chunks were placed, and its split, are not published.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from xmbench.errors import MediaError
from xmbench.interfaces import AttributeTypes, Entry, Link, Modality, Raw, RawClip, Rejected, Task, Upstream
from xmbench.media import audio
from xmbench.sources import _recordings
from xmbench.sources._mono import mixed
from xmbench.sources._recordings import Recording


class RecordingChunksOptions(BaseModel):
    """How recordings are cut and divided.

    Attributes:
        length_s, stride_s: of the chunks; a shorter rest at the end is not used.
        silent_below_db: a chunk whose root mean square is this far below full scale is left out.
        test_fraction: share of the recordings of each class that are the test, rounded up; one at least stays.
        seed: of the choice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    length_s: float = Field(default=0.5, gt=0, le=60)
    stride_s: float = Field(default=0.5, gt=0, le=60)
    silent_below_db: float = Field(default=-50.0, lt=0)
    test_fraction: float = Field(default=0.3, gt=0, lt=1)
    seed: int = 0


class RecordingChunks:
    """Chunks of recordings; keys like `piano-moonlight-2500`, the start in ms; grouped by recording."""

    name = "recording-chunks"
    yields: frozenset[Modality] = frozenset({"audio"})
    Options = RecordingChunksOptions

    def versions(self, options: RecordingChunksOptions) -> dict[str, str]:
        """Only the files shape the content; the resampler is listed with the tools."""
        return {}

    def attributes(self, options: RecordingChunksOptions) -> AttributeTypes:
        """Columns of every row: the recording, and where in it the chunk starts."""
        return {"piece": str, "start_s": float}

    def links(self, upstream: Upstream, options: RecordingChunksOptions, task: Task) -> list[Link]:
        """The links of the lists; none where the recordings are files. Raises as `entries`."""
        return _recordings.links(upstream, task)

    def entries(self, upstream: Upstream, options: RecordingChunksOptions, task: Task) -> list[Entry]:
        """One entry per chunk, by recording and time; of a recording that cannot be read one for the whole.

        Only headers are read; what is linked is fetched.

        Raises:
            UpstreamError: a directory that is no class, two recordings of one name, a class with fewer than two, one
                recording in two classes, or a list that contradicts itself.
            PrerequisiteError, UnfinishedError: as `Upstream.recordings`.
        """
        found = _recordings.found(upstream, task)
        return [
            entry
            for label in sorted({recording.label for recording in found})
            for recording, split in _splits([one for one in found if one.label == label], options)
            for entry in _chunks(recording, split, options)
        ]

    def read(
        self, upstream: Upstream, options: RecordingChunksOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """Samples int16 (T,) per entry, at the recording's own rate; a recording is opened once."""
        for (name, lost, path), chunks in itertools.groupby(
            entries, key=lambda entry: (entry.locator[0], *entry.locator[2:])
        ):
            if lost:
                yield from (lost for _ in chunks)
            else:
                with _recordings.opened(upstream, name, path) as stream:
                    yield from _read(stream, name, [entry.locator[1] for entry in chunks], options)


def _splits(recordings: Sequence[Recording], options: RecordingChunksOptions) -> Iterator[tuple[Recording, str]]:
    """The recordings of a class with their splits, in the order given; those of one group share theirs."""
    groups = sorted({recording.group for recording in recordings})
    drawn = sorted(groups, key=lambda group: hashlib.sha256(f"{options.seed}\0{group}".encode()).digest())
    tests = set(drawn[: min(math.ceil(options.test_fraction * len(drawn)), len(drawn) - 1)])
    for recording in recordings:
        yield recording, "test" if recording.group in tests else "train"


def _chunks(recording: Recording, split: str, options: RecordingChunksOptions) -> Iterator[Entry]:
    """Entries of one recording; a single one, with what is wrong, where it is lost or its header cannot be believed."""
    last_s = max(0.0, recording.length_s - options.length_s)
    for i in range(1 + math.floor(last_s / options.stride_s + 1e-9)):
        offset_s = round(i * options.stride_s, 6)
        start_s = round(recording.begins_s + offset_s, 6)
        yield Entry(
            key=f"{recording.piece}-{round(start_s * 1000)}",
            split=split,
            label=recording.label,
            group=recording.group,
            locator=(recording.name, offset_s, recording.lost, recording.path),
            attributes={"piece": recording.piece, "start_s": start_s},
        )


def _read(
    stream: BinaryIO, name: str, starts_s: Sequence[float], options: RecordingChunksOptions
) -> Iterator[RawClip | Rejected]:
    parts = audio.read_parts(stream, starts_s, options.length_s)
    damage: Rejected | None = None
    for start_s in starts_s:
        if damage is None:
            try:
                samples, rate = next(parts)
            except MediaError as error:  # nothing can be read after it
                damage = Rejected("read", "corrupt-audio", f"{name} at {start_s:.3f} s: {error.what}")
        yield damage or _heard(mixed(samples, rate, name), f"{name} at {start_s:.3f} s", options)


def _heard(part: RawClip | Rejected, where: str, options: RecordingChunksOptions) -> RawClip | Rejected:
    """A chunk in which something is played, or why it is left out."""
    if isinstance(part, Rejected):
        return part
    power = float(np.square(part.samples, dtype=np.float64).mean())
    level_db = 10.0 * math.log10(max(power, 1e-10) / audio.FULL_SCALE**2)
    if level_db < options.silent_below_db:
        detail = f"{where}: {level_db:.1f} dB, expected {options.silent_below_db} dB or more"
        return Rejected("silence", "silent", detail, filtered=True)
    return part


SOURCE = RecordingChunks()
