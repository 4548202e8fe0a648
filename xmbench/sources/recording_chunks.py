"""Chunks of whole recordings: `<class>/<name>.wav` or `.flac`, cut into pieces of one length, split by recording.

The pieces of one recording sound alike, so a recording is in one split with all of them. Which recordings are the test
is decided by a seeded hash of their names, within each class. Pieces in which nothing is played are left out.

Source of the rule: L. Chen, S. Srivastava, Z. Duan, C. Xu, "Deep Cross-Modal Audio-Visual Generation", 2017, section 4
(INIS: 77 solo performances, 7,200 chunks of 0.5 s). How its chunks were placed, and its split, are not published.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from xmbench.errors import MediaError, UpstreamError
from xmbench.interfaces import AttributeTypes, Entry, Modality, Raw, RawClip, Rejected, Task, Upstream
from xmbench.media import audio
from xmbench.printable import hyphenated
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

    def entries(self, upstream: Upstream, options: RecordingChunksOptions, task: Task) -> list[Entry]:
        """One entry per chunk, by recording and time; of a recording that cannot be read one for the whole.

        Only headers are read.

        Raises:
            UpstreamError: a directory that is no class, two recordings of one name, or a class with fewer than two.
        """
        labels = {name.lower(): k for k, name in enumerate(task.class_names)}
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
        for k, name in enumerate(task.class_names):
            if len(found[k]) < 2:
                problems.append(f"{len(found[k])} recording(s) of '{name}'")
        if problems:
            raise UpstreamError(
                "the recordings are not those that the recipe describes",
                problems=problems,
                expected="<class>/<name>.wav or .flac, two or more of each class: one at least for each split",
            )
        return [
            entry
            for label in sorted(found)
            for piece, split in _splits(found[label], options).items()
            for entry in _chunks(upstream, found[label][piece], piece, split, label, options)
        ]

    def read(
        self, upstream: Upstream, options: RecordingChunksOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """Samples int16 (T,) per entry, at the recording's own rate; a recording is opened once."""
        for (name, trouble), chunks in itertools.groupby(
            entries, key=lambda entry: (entry.locator[0], entry.locator[2])
        ):
            if trouble:
                yield from (Rejected("read", "corrupt-audio", f"{name}: {trouble}") for _ in chunks)
            else:
                yield from _read(upstream, name, [entry.locator[1] for entry in chunks], options)


def _splits(pieces: Iterable[str], options: RecordingChunksOptions) -> dict[str, str]:
    """The split of each recording of a class, in the order of their names."""
    names = sorted(pieces)
    drawn = sorted(names, key=lambda piece: hashlib.sha256(f"{options.seed}\0{piece}".encode()).digest())
    tests = set(drawn[: min(math.ceil(options.test_fraction * len(drawn)), len(drawn) - 1)])
    return {piece: "test" if piece in tests else "train" for piece in names}


def _chunks(
    upstream: Upstream, name: str, piece: str, split: str, label: int, options: RecordingChunksOptions
) -> Iterator[Entry]:
    """Entries of one recording; a single one, with what is wrong, where its header cannot be believed."""
    length_s, trouble = _length_s(upstream, name)
    last_s = max(0.0, length_s - options.length_s)
    for i in range(1 + math.floor(last_s / options.stride_s + 1e-9)):
        start_s = round(i * options.stride_s, 6)
        yield Entry(
            key=f"{piece}-{round(start_s * 1000)}",
            split=split,
            label=label,
            group=piece,
            locator=(name, start_s, trouble),
            attributes={"piece": piece, "start_s": start_s},
        )


def _length_s(upstream: Upstream, name: str) -> tuple[float, str]:
    """Seconds of a recording, and what is wrong with its header."""
    try:
        with upstream.open(name) as stream:
            samples, rate = audio.measured(stream)
    except MediaError as error:
        return 0.0, error.what
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        return 0.0, f"{rate} Hz, expected {RATES_HZ[0]} to {RATES_HZ[1]} Hz"
    if samples > LONGEST_S * rate:
        return 0.0, f"the header claims {samples / rate:,.0f} s, expected at most {LONGEST_S:,} s"
    return samples / rate, ""


def _read(
    upstream: Upstream, name: str, starts_s: Sequence[float], options: RecordingChunksOptions
) -> Iterator[RawClip | Rejected]:
    with upstream.open(name) as stream:
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
