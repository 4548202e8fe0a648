"""Whole recordings, one or more files or links of each class, measured; the same recording under two names is found.

The files are `<class>/<name>.wav` or `.flac`, the links those of `_links`.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from xmbench.errors import MediaError, UpstreamError
from xmbench.interfaces import Link, Rejected, Task, Upstream
from xmbench.media import audio
from xmbench.printable import hyphenated
from xmbench.sources import _links
from xmbench.sources._mono import RATES_HZ

ENDINGS = (".wav", ".flac")
LONGEST_S = 36_000
_HASHED_S = 10.0


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording, or a part of one.

    Attributes:
        name: of its file, or its link.
        piece: name of the recording, with its class.
        label: index of the class.
        group: the piece; of the same recording under several names, the first of them.
        begins_s: where it begins in the recording.
        path: of its sound where it was fetched; "" for a file of the corpus.
        samples, rate_hz: as its header says; 0 where it is lost.
        lost: why it is not read.
    """

    name: str
    piece: str
    label: int
    group: str
    begins_s: float = 0.0
    path: str = ""
    samples: int = 0
    rate_hz: int = 0
    lost: Rejected | None = None

    @property
    def length_s(self) -> float:
        return self.samples / self.rate_hz if self.rate_hz else 0.0


def found(upstream: Upstream, task: Task) -> list[Recording]:
    """Every recording, sorted by class, name and place in it; what is linked is fetched, of a file its header is read.

    Raises:
        UpstreamError: a directory that is no class, two recordings of one name, a class with fewer than two, the same
            recording in two classes, or a list that contradicts itself.
        PrerequisiteError, UnfinishedError: as `Upstream.recordings`.
    """
    listed = _linked(upstream, task) if _links.lists(upstream) else _files(upstream, task)
    ordered = sorted(listed, key=lambda recording: (recording.label, recording.piece, recording.begins_s))
    grouped = _grouped(upstream, [_measured(upstream, recording) for recording in ordered])
    problems = _too_few(task, {recording.group: recording.label for recording in grouped}.values())
    if problems:
        raise UpstreamError(
            "the same recording under several names", problems=problems, expected="two different ones of each class"
        )
    return grouped


def links(upstream: Upstream, task: Task) -> list[Link]:
    """The links of the lists; none where the recordings are files. Raises UpstreamError as `found`."""
    return [linked.link for _, linked in _listed(upstream, task)] if _links.lists(upstream) else []


def opened(upstream: Upstream, name: str, path: str) -> BinaryIO:
    """A stream over a recording: a file of the corpus, or one that was fetched."""
    return Path(path).open("rb") if path else upstream.open(name)


# -------------------------------------------------------------------------------------------------- where they are
def _files(upstream: Upstream, task: Task) -> list[Recording]:
    """The recordings that are files."""
    labels = _labels(task)
    made: dict[str, Recording] = {}
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
        if piece in made:
            problems.append(f"{name}: another recording has the name '{piece}'")
        made[piece] = Recording(name, piece, label, piece)
    problems += _too_few(task, (recording.label for recording in made.values()))
    if problems:
        raise UpstreamError(
            "the recordings are not those that the recipe describes",
            problems=problems,
            expected="<class>/<name>.wav or .flac, two or more of each class: one at least for each split",
        )
    return list(made.values())


def _linked(upstream: Upstream, task: Task) -> Iterator[Recording]:
    """The recordings that are linked, fetched now."""
    listed = _listed(upstream, task)
    fetched = upstream.recordings([linked.link for _, linked in listed])
    for (piece, linked), got in zip(listed, fetched, strict=True):
        lost = got if isinstance(got, Rejected) else None
        path = "" if isinstance(got, Rejected) else str(got)
        begins_s = linked.link.start_s
        yield Recording(linked.link.name, piece, linked.label, piece, begins_s, path, lost=lost)


def _listed(upstream: Upstream, task: Task) -> list[tuple[str, _links.Linked]]:
    """Every line of the lists with its piece.

    Raises:
        UpstreamError: the lists contradict themselves, or a class has fewer than two recordings.
    """
    lines, problems = _links.read(upstream, _labels(task))
    pieces = [(f"{hyphenated(task.class_names[one.label])}-{one.recording}", one) for one in lines]
    if not problems:
        problems = _too_few(task, {piece: one.label for piece, one in pieces}.values())
    if problems:
        raise UpstreamError("the list of links cannot be used", problems=problems, expected=_links.EXPECTED)
    return pieces


def _labels(task: Task) -> dict[str, int]:
    return {name.lower(): k for k, name in enumerate(task.class_names)}


def _too_few(task: Task, labels: Iterable[int]) -> list[str]:
    numbers = Counter(labels)
    counted = [(name, numbers[k]) for k, name in enumerate(task.class_names)]
    return [f"{number} recording(s) of '{name}'" for name, number in counted if number < 2]


# ------------------------------------------------------------------------------------------------------ what they are
def _measured(upstream: Upstream, recording: Recording) -> Recording:
    """A recording with its length, or with what is wrong with its header."""
    if recording.lost:
        return recording
    try:
        with opened(upstream, recording.name, recording.path) as stream:
            samples, rate = audio.measured(stream)
    except MediaError as error:
        return replace(recording, lost=_corrupt(recording, error.what))
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        return replace(recording, lost=_corrupt(recording, f"{rate} Hz, expected {RATES_HZ[0]} to {RATES_HZ[1]} Hz"))
    if samples > LONGEST_S * rate:
        claimed = f"the header claims {samples / rate:,.0f} s, expected at most {LONGEST_S:,} s"
        return replace(recording, lost=_corrupt(recording, claimed))
    return replace(recording, samples=samples, rate_hz=rate)


def _corrupt(recording: Recording, trouble: str) -> Rejected:
    return Rejected("read", "corrupt-audio", f"{recording.name}: {trouble}")


def _grouped(upstream: Upstream, recordings: Sequence[Recording]) -> list[Recording]:
    """The same samples under several names become one group. Only recordings of one length are compared.

    Raises:
        UpstreamError: the same recording in two classes.
    """
    alike: dict[tuple[int, int], list[Recording]] = defaultdict(list)
    for recording in recordings:
        if not recording.lost:
            alike[recording.samples, recording.rate_hz].append(recording)
    first: dict[bytes, Recording] = {}
    groups: dict[str, str] = {}
    problems = []
    for recording in (one for found in alike.values() if len(found) > 1 for one in found):
        same = first.setdefault(_digest(upstream, recording), recording)
        groups.setdefault(recording.piece, groups.get(same.piece, same.piece))
        if same.label != recording.label:
            problems.append(f"{recording.name} is the recording of {same.name}, in another class")
    if problems:
        raise UpstreamError("recordings of two classes", problems=problems, todo="remove one of each two")
    return [replace(recording, group=groups.get(recording.piece, recording.piece)) for recording in recordings]


def _digest(upstream: Upstream, recording: Recording) -> bytes:
    """sha256 of the decoded samples; of a damaged file, of the samples before the damage and its name."""
    total = hashlib.sha256()
    starts = (i * _HASHED_S for i in range(1 + int(recording.length_s / _HASHED_S)))
    with opened(upstream, recording.name, recording.path) as stream:
        try:
            for samples, _ in audio.read_parts(stream, starts, _HASHED_S):
                total.update(samples.tobytes())
        except MediaError:
            total.update(recording.name.encode())
    return total.digest()
