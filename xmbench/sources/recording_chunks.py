"""Chunks of whole recordings: cut into pieces of one length, divided between the splits by recording.

The recordings are files, `<class>/<name>.wav` or `.flac`, or lists of links to them (`_links`), which are fetched. The
pieces of one recording sound alike, so a recording is in one split with all of them. Which recordings are the test
is decided by a seeded hash of their names, within each class. Pieces in which nothing is played are left out.

Source of the rule: L. Chen, S. Srivastava, Z. Duan, C. Xu, "Deep Cross-Modal Audio-Visual Generation", 2017, section 4
(INIS: 77 solo performances, 7,200 chunks of 0.5 s). How its chunks were placed, and its split, are not published.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from xmbench.errors import MediaError, UpstreamError
from xmbench.interfaces import AttributeTypes, Entry, Link, Modality, Raw, RawClip, Rejected, Task, Upstream
from xmbench.media import audio
from xmbench.printable import hyphenated
from xmbench.sources import _links
from xmbench.sources._mono import RATES_HZ, mixed

ENDINGS = (".wav", ".flac")
LONGEST_S = 36_000


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


@dataclass(frozen=True, slots=True)
class _Recording:
    """A recording, or a part of one.

    Attributes:
        name: of its file, or its link.
        piece: the recording's, which is the group.
        begins_s: where it begins in the recording.
        path: of its sound where it was fetched; None for a file of the corpus.
        lost: why it could not be fetched.
    """

    name: str
    piece: str
    begins_s: float = 0.0
    path: Path | None = None
    lost: Rejected | None = None


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
        return [linked.link for _, linked in _listed(upstream, task)] if _links.lists(upstream) else []

    def entries(self, upstream: Upstream, options: RecordingChunksOptions, task: Task) -> list[Entry]:
        """One entry per chunk, by recording and time; of a recording that cannot be read one for the whole.

        Only headers are read; what is linked is fetched.

        Raises:
            UpstreamError: a directory that is no class, two recordings of one name, a class with fewer than two, or a
                list that contradicts itself.
            PrerequisiteError, UnfinishedError: as `Upstream.recordings`.
        """
        found = _linked(upstream, task) if _links.lists(upstream) else _files(upstream, task)
        return [
            entry
            for label in sorted(found)
            for recording, split in _splits(found[label], options)
            for entry in _chunks(upstream, recording, split, label, options)
        ]

    def read(
        self, upstream: Upstream, options: RecordingChunksOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """Samples int16 (T,) per entry, at the recording's own rate; a recording is opened once."""
        for (name, trouble, path), chunks in itertools.groupby(
            entries, key=lambda entry: (entry.locator[0], *entry.locator[2:])
        ):
            if trouble:
                yield from (trouble for _ in chunks)
            else:
                with _opened(upstream, name, path) as stream:
                    yield from _read(stream, name, [entry.locator[1] for entry in chunks], options)


def _files(upstream: Upstream, task: Task) -> dict[int, list[_Recording]]:
    """The recordings of each class that are files."""
    labels = _labels(task)
    found: dict[int, dict[str, str]] = defaultdict(dict)
    problems = []
    for name in sorted(upstream.names()):
        if not name.lower().endswith(ENDINGS):
            continue
        directory, _, file = name.rpartition("/")
        label = labels.get(directory.rpartition("/")[2].lower())
        if label is None:
            problems.append(f"{name}: its directory is not a class of the recipe")
            continue
        piece = f"{hyphenated(task.class_names[label])}-{hyphenated(file.rpartition('.')[0])}"
        if piece in found[label]:
            problems.append(f"{name}: another recording has the name '{piece}'")
        found[label][piece] = name
    problems += _too_few(task, {label: len(pieces) for label, pieces in found.items()})
    if problems:
        raise UpstreamError(
            "the recordings are not those that the recipe describes",
            problems=problems,
            expected="<class>/<name>.wav or .flac, two or more of each class: one at least for each split",
        )
    return {k: [_Recording(name, piece) for piece, name in sorted(pieces.items())] for k, pieces in found.items()}


def _linked(upstream: Upstream, task: Task) -> dict[int, list[_Recording]]:
    """The recordings of each class that are linked, fetched now."""
    listed = _listed(upstream, task)
    found: dict[int, list[_Recording]] = defaultdict(list)
    fetched = upstream.recordings([linked.link for _, linked in listed])
    for (piece, linked), got in zip(listed, fetched, strict=True):
        lost = got if isinstance(got, Rejected) else None
        path = None if isinstance(got, Rejected) else got
        found[linked.label].append(_Recording(linked.link.name, piece, linked.link.start_s, path, lost))
    return {label: sorted(parts, key=lambda part: (part.piece, part.begins_s)) for label, parts in found.items()}


def _listed(upstream: Upstream, task: Task) -> list[tuple[str, _links.Linked]]:
    """Every line of the lists with its piece.

    Raises:
        UpstreamError: the lists contradict themselves, or a class has fewer than two recordings.
    """
    found, problems = _links.read(upstream, _labels(task))
    pieces = [(f"{hyphenated(task.class_names[one.label])}-{one.recording}", one) for one in found]
    if not problems:
        problems = _too_few(task, Counter(label for _, label in {(piece, one.label) for piece, one in pieces}))
    if problems:
        raise UpstreamError("the list of links cannot be used", problems=problems, expected=_links.EXPECTED)
    return pieces


def _labels(task: Task) -> dict[str, int]:
    return {name.lower(): k for k, name in enumerate(task.class_names)}


def _too_few(task: Task, numbers: Mapping[int, int]) -> list[str]:
    counted = [(name, numbers.get(k, 0)) for k, name in enumerate(task.class_names)]
    return [f"{number} recording(s) of '{name}'" for name, number in counted if number < 2]


def _splits(recordings: Sequence[_Recording], options: RecordingChunksOptions) -> Iterator[tuple[_Recording, str]]:
    """The recordings of a class with their splits, in the order given; parts of one recording share theirs."""
    names = sorted({recording.piece for recording in recordings})
    drawn = sorted(names, key=lambda piece: hashlib.sha256(f"{options.seed}\0{piece}".encode()).digest())
    tests = set(drawn[: min(math.ceil(options.test_fraction * len(drawn)), len(drawn) - 1)])
    for recording in recordings:
        yield recording, "test" if recording.piece in tests else "train"


def _chunks(
    upstream: Upstream, recording: _Recording, split: str, label: int, options: RecordingChunksOptions
) -> Iterator[Entry]:
    """Entries of one recording; a single one, with what is wrong, where it is lost or its header cannot be believed."""
    length_s, trouble = _length_s(upstream, recording)
    path = str(recording.path) if recording.path else ""
    last_s = max(0.0, length_s - options.length_s)
    for i in range(1 + math.floor(last_s / options.stride_s + 1e-9)):
        offset_s = round(i * options.stride_s, 6)
        start_s = round(recording.begins_s + offset_s, 6)
        yield Entry(
            key=f"{recording.piece}-{round(start_s * 1000)}",
            split=split,
            label=label,
            group=recording.piece,
            locator=(recording.name, offset_s, trouble, path),
            attributes={"piece": recording.piece, "start_s": start_s},
        )


def _length_s(upstream: Upstream, recording: _Recording) -> tuple[float, Rejected | None]:
    """Seconds of a recording, and why it is not read, if so."""
    if recording.lost:
        return 0.0, recording.lost
    try:
        with _opened(upstream, recording.name, str(recording.path or "")) as stream:
            samples, rate = audio.measured(stream)
    except MediaError as error:
        return 0.0, _corrupt(recording.name, error.what)
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        return 0.0, _corrupt(recording.name, f"{rate} Hz, expected {RATES_HZ[0]} to {RATES_HZ[1]} Hz")
    if samples > LONGEST_S * rate:
        claimed = f"the header claims {samples / rate:,.0f} s, expected at most {LONGEST_S:,} s"
        return 0.0, _corrupt(recording.name, claimed)
    return samples / rate, None


def _corrupt(name: str, trouble: str) -> Rejected:
    return Rejected("read", "corrupt-audio", f"{name}: {trouble}")


def _opened(upstream: Upstream, name: str, path: str) -> BinaryIO:
    """A stream over a recording: a file of the corpus, or one that was fetched."""
    return Path(path).open("rb") if path else upstream.open(name)


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
