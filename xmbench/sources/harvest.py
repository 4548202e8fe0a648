"""A harvest as a source: frames with their sounds on whose label an image and a sound annotator agree.

Read from what `xmbench harvest` wrote: `candidates/*.parquet` and `candidates/labels.json`. A candidate belongs to a
class where both annotators agree on its label (`xmbench.statistics.agreement`). Left out, in this order, and listed:
black and flat frames, still videos, silent sounds, frames of a video that look like another one of it, pictures and
sounds that another video has as well. Of the others, each class has at most `per_class`, by a seeded hash of the id;
the surplus is no item.

Source: J. Lyu et al., "Generating images from sounds using multi-modal features and GANs", section 3.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from xmbench.errors import DocumentError, MediaError, UpstreamError
from xmbench.formats.document import load_json
from xmbench.formats.harvest import CANDIDATES_FOLDER, LABELS_FILE, OK, Labels
from xmbench.interfaces import (
    AttributeTypes,
    Entry,
    Modality,
    Raw,
    RawClip,
    RawImage,
    RawPair,
    Rejected,
    Task,
    Upstream,
)
from xmbench.media import audio, image
from xmbench.statistics.agreement import NONE, Vocabulary

_COLUMNS = ("id", "group", "status", "start_s", "brightness", "contrast", "motion", "level_db", "frame_hash")
_DIGESTS = ("picture_digest", "sound_digest")
_MEDIA = ("image", "audio")


class HarvestOptions(BaseModel):
    """The rule by which candidates become items.

    Attributes:
        image, sound: columns of labels that must agree: `<annotator>:<head>`.
        labels: class -> id of its label.
        top: labels of each annotator that count.
        per_class: items of a class at most.
        seed: of the choice among more.
        black_below: mean luminance (0..255) under which a frame is black.
        flat_below: standard deviation of the luminance (0..255) under which a frame shows nothing.
        still_below: mean change of the luminance during the sound (0..255) under which a video is a still picture.
        silent_below_db: level of the sound (RMS, relative to full scale) under which it is silent.
        same_bits: bits of 64 in which frames of one video that look alike differ at most; -1 keeps all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str = Field(pattern=r"^[a-z0-9-]+:[a-z0-9-]+$")
    sound: str = Field(pattern=r"^[a-z0-9-]+:[a-z0-9-]+$")
    labels: Mapping[str, str]
    top: int = Field(default=3, ge=1, le=100)
    per_class: int = Field(default=2000, ge=1)
    seed: int = 0
    black_below: float = Field(default=16.0, ge=0, le=255)
    flat_below: float = Field(default=4.0, ge=0, le=255)
    still_below: float = Field(default=0.5, ge=0, le=255)
    silent_below_db: float = Field(default=-50.0, ge=-120, le=0)
    same_bits: int = Field(default=4, ge=-1, le=64)


@dataclass(frozen=True, slots=True)
class _Agreeing:
    """A candidate of a class: where its row is, and what is known of it."""

    id: str
    group: str
    label: int
    file: str
    row: int
    attributes: Mapping[str, str | float]
    measured: Mapping[str, Any]


class HarvestSource:
    """Candidates on whose label an image and a sound annotator agree; grouped by video."""

    name = "harvest"
    yields: frozenset[Modality] = frozenset({"image", "audio"})
    Options = HarvestOptions

    def versions(self, options: HarvestOptions) -> dict[str, str]:
        """The JPEG decoder: others round pixels differently."""
        return {"libjpeg": image.jpeg_decoder()}

    def attributes(self, options: HarvestOptions) -> AttributeTypes:
        """Columns of every row: the label that was agreed on, how probable each annotator found it, where it begins."""
        return {"agreed": str, "image_probability": float, "sound_probability": float, "start_s": float}

    def entries(self, upstream: Upstream, options: HarvestOptions, task: Task) -> list[Entry]:
        """The chosen candidates, and those of a class that a rule leaves out; sorted by id.

        Raises:
            UpstreamError: the files are not those of a harvest, or of one without these annotators.
            DocumentError: a class without a label, or a label that the annotators do not have.
        """
        agreeing = sorted(_agreeing(upstream, options, task), key=lambda one: one.id)
        reasons = _left_out(agreeing, options)
        found, taken = [], Counter[int]()
        for one in sorted(agreeing, key=lambda one: _hashed(options.seed, one.id)):
            reason = reasons.get(one.id)
            if reason is None:
                taken[one.label] += 1
                if taken[one.label] > options.per_class:
                    continue
            locator: tuple[Any, ...] = (one.file, one.row) if reason is None else (reason.reason, reason.detail, "")
            found.append(Entry(one.id, "any", one.label, one.group, locator, one.attributes))
        return sorted(found, key=lambda entry: entry.key)

    def differences(self, entries: Sequence[Entry], options: HarvestOptions, task: Task) -> list[str]:
        """Classes with fewer items than the rule asks for."""
        usable = Counter(entry.label for entry in entries if len(entry.locator) == 2)
        return [
            f"{name}: {usable[label]:,} pairs agree, {options.per_class:,} are asked for"
            for label, name in enumerate(task.class_names)
            if usable[label] < options.per_class
        ]

    def read(
        self, upstream: Upstream, options: HarvestOptions, task: Task, entries: Sequence[Entry]
    ) -> Iterator[Raw | Rejected]:
        """A frame uint8 (H, W, C), its centred square, with its clip int16 (T,), per entry."""
        rows = _Rows(upstream)
        for entry in entries:
            if len(entry.locator) != 2:
                yield Rejected("agree", entry.locator[0], entry.locator[1], filtered=True)
                continue
            try:
                picture, sound = rows.media(*entry.locator)
                samples, rate = audio.decode_mono_int16(sound)
                pixels = image.centred_square(image.decode(picture))
            except MediaError as error:
                yield Rejected("read", "corrupt-candidate", f"{entry.locator[0]}: {error.what}")
                continue
            yield RawPair(RawImage(pixels), RawClip(samples, rate))


# --------------------------------------------------------------------------------------------- agreement
def _agreeing(upstream: Upstream, options: HarvestOptions, task: Task) -> Iterator[_Agreeing]:
    """Every candidate that agrees on the label of a class."""
    shards, vocabulary, wanted = _files(upstream), _vocabulary(upstream), _labels(options, task)
    known = set(vocabulary.ids)
    unknown = [f"{name}: {label}" for label, name in wanted.items() if label not in known]
    if unknown:
        raise DocumentError(
            "labels that the annotators of this harvest do not have", where="options.labels", problems=unknown
        )
    places = {name: place for place, name in enumerate(task.class_names)}
    classes = {label: places[name] for label, name in wanted.items()}
    for name in shards:
        table = _table(upstream, name, options)
        sides = [_top(table.column(side), options.top, vocabulary) for side in (options.image, options.sound)]
        agreed = vocabulary.agreed(sides[0], sides[1], classes.keys())
        rows = np.flatnonzero(agreed.labels != NONE)
        for row, measured in zip(
            rows.tolist(), table.select([*_COLUMNS, *_DIGESTS]).take(rows).to_pylist(), strict=True
        ):
            if measured["status"] != OK:
                continue
            label = vocabulary.ids[agreed.labels[row]]
            attributes: dict[str, str | float] = {
                "agreed": label,
                "image_probability": float(agreed.image[row]),
                "sound_probability": float(agreed.sound[row]),
                "start_s": float(measured["start_s"]),
            }
            yield _Agreeing(measured["id"], measured["group"], classes[label], name, row, attributes, measured)


def _files(upstream: Upstream) -> list[str]:
    shards = sorted(name for name in upstream.names() if name.endswith(".parquet"))
    if not shards:
        raise UpstreamError(
            "no harvest", expected=f"{CANDIDATES_FOLDER}/part-*.parquet", todo="run `xmbench harvest` first"
        )
    return shards


def _vocabulary(upstream: Upstream) -> Vocabulary:
    name = next((name for name in upstream.names() if name.endswith(LABELS_FILE)), "")
    if not name:
        raise UpstreamError("the harvest is not finished", expected=LABELS_FILE, todo="run `xmbench harvest` again")
    known = load_json(upstream.path(name), Labels).labels
    return Vocabulary({label: record.kinds for label, record in known.items()})


def _labels(options: HarvestOptions, task: Task) -> dict[str, str]:
    """Label -> class."""
    problems = [f"no label for the class '{name}'" for name in task.class_names if name not in options.labels]
    problems += [f"'{name}' is no class" for name in options.labels.keys() - set(task.class_names)]
    twice = [label for label, number in Counter(options.labels.values()).items() if number > 1]
    problems += [f"'{label}' is the label of two classes" for label in twice]
    if problems:
        raise DocumentError("the labels are not those of the classes", where="options.labels", problems=problems)
    return {label: name for name, label in options.labels.items()}


def _table(upstream: Upstream, name: str, options: HarvestOptions) -> pa.Table:
    columns = [*_COLUMNS, *_DIGESTS, options.image, options.sound]
    path = upstream.path(name)
    try:
        return pq.read_table(path, columns=list(dict.fromkeys(columns)))
    except (OSError, pa.ArrowException, KeyError) as error:
        there = _tops(path)
        raise UpstreamError(
            "a shard of the harvest cannot be read, or lacks the labels of these annotators",
            where=name,
            expected=f"{options.image} and {options.sound}" + (f" among {', '.join(there)}" if there else ""),
            todo="run `xmbench harvest` again, with the annotators of the recipe",
        ) from error


def _tops(path: Path) -> list[str]:
    """Names of the columns of labels of a shard."""
    try:
        return [name for name in pq.read_schema(path).names if ":" in name]
    except (OSError, pa.ArrowException):
        return []


def _top(column: pa.ChunkedArray, top: int, vocabulary: Vocabulary) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Codes and probabilities (N, top) of a column of labels; rows without labels have none."""
    values = column.combine_chunks()
    lengths = np.asarray(values.value_lengths().fill_null(0), np.int64)
    flat = values.flatten()
    codes = _coded(flat.field("label"), vocabulary)
    probabilities = np.asarray(flat.field("probability"), np.float64)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lengths) else lengths
    places = starts[:, None] + np.arange(top)
    there = np.arange(top) < lengths[:, None]
    if not len(codes):
        return np.full(there.shape, NONE, np.int64), np.zeros(there.shape)
    safe = np.where(there, places, 0)
    return np.where(there, codes[safe], NONE), np.where(there, probabilities[safe], 0.0)


def _coded(labels: pa.Array, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Codes of ids, each distinct one looked up once."""
    encoded = labels.dictionary_encode()
    known = vocabulary.codes(encoded.dictionary.to_pylist())
    places = np.asarray(encoded.indices.fill_null(-1), np.int64)
    return np.where(places < 0, NONE, known[places]) if len(known) else np.full(len(places), NONE, np.int64)


# ------------------------------------------------------------------------------------------------- rules
def _left_out(found: Sequence[_Agreeing], options: HarvestOptions) -> dict[str, Rejected]:
    """Why candidates are left out, by id; the first reason that applies."""
    reasons: dict[str, Rejected] = {}
    frames: dict[str, list[int]] = {}
    owners: dict[str, str] = {}
    for one in found:
        reason = _measured(one.measured, options) or _near(one, frames, options) or _repeated(one, owners)
        if reason is not None:
            reasons[one.id] = reason
            continue
        frames.setdefault(one.group, []).append(int(one.measured["frame_hash"], 16))
        owners |= {f"{name} {one.measured[name]}": one.group for name in _DIGESTS}
    return reasons


def _near(one: _Agreeing, frames: Mapping[str, list[int]], options: HarvestOptions) -> Rejected | None:
    """A frame that looks like one of the same video."""
    bits = int(one.measured["frame_hash"], 16)
    near = min(((bits ^ other).bit_count() for other in frames.get(one.group, ())), default=65)
    if near > options.same_bits:
        return None
    detail = f"{near} of 64 bits differ from another frame of {one.group[:100]}"
    return Rejected("agree", "near-duplicate", detail, filtered=True)


def _repeated(one: _Agreeing, owners: Mapping[str, str]) -> Rejected | None:
    """A picture or a sound that another video has as well: it could be in both splits."""
    for name in _DIGESTS:
        owner = owners.get(f"{name} {one.measured[name]}", one.group)
        if owner != one.group:
            detail = f"the same {name.partition('_')[0]} as {owner[:100]}"
            return Rejected("agree", "repeated", detail, filtered=True)
    return None


def _measured(values: Mapping[str, Any], options: HarvestOptions) -> Rejected | None:
    """What the measurements of a candidate say against it."""
    rules = (
        ("black-frame", "brightness", options.black_below, "mean luminance"),
        ("flat-frame", "contrast", options.flat_below, "standard deviation of the luminance"),
        ("still-video", "motion", options.still_below, "mean change of the luminance"),
        ("silent", "level_db", options.silent_below_db, "level in dB"),
    )
    for reason, name, limit, what in rules:
        if values[name] is not None and values[name] < limit:
            return Rejected("agree", reason, f"{what} {values[name]:.1f}, below {limit:g}", filtered=True)
    return None


def _hashed(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


# ------------------------------------------------------------------------------------------------- media
class _Rows:
    """Media of rows, by file and row; the last row group is kept, as entries come in the order of ids."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._name, self._group = "", -1
        self._file: Any = None
        self._first: list[int] = []
        self._table: pa.Table | None = None

    def media(self, name: str, row: int) -> tuple[bytes, bytes]:
        """The files of the picture and of the sound.

        Raises:
            UpstreamError: the shard cannot be read any more.
        """
        try:
            return self._media(name, row)
        except (OSError, pa.ArrowException, IndexError, TypeError) as error:
            raise UpstreamError("a shard of the harvest cannot be read", where=name, todo="harvest it again") from error

    def _media(self, name: str, row: int) -> tuple[bytes, bytes]:
        if name != self._name or self._file is None:
            self._name, self._group = name, -1
            self._file = pq.ParquetFile(self._upstream.path(name))
            meta = self._file.metadata
            sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
            self._first = [0, *np.cumsum(sizes).tolist()]
        group = int(np.searchsorted(self._first, row, side="right")) - 1
        if group != self._group or self._table is None:
            self._table, self._group = self._file.read_row_group(group, columns=list(_MEDIA)), group
        place = row - self._first[group]
        picture, sound = (self._table.column(kind)[place].as_py()["bytes"] for kind in _MEDIA)
        return picture, sound


SOURCE = HarvestSource()
