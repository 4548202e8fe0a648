"""Reads the items of a track once, in id order: what was submitted for each, and which pairs are distinct."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from xmbench import registry
from xmbench.evaluator.check import OpenedSubmission, Problem, severity_of
from xmbench.evaluator.decode import Decoded, decode_output
from xmbench.evaluator.measure import Work, kept, prepare, reference
from xmbench.evaluator.outputs_digest import digest_of
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_clip, read_image
from xmbench.interfaces import SIDES, Pair, ScoringContext, Status
from xmbench.media import audio
from xmbench.media.signal import Media, Picture, Sound


@dataclass(slots=True)
class ItemRecords:
    """What is known of each item, in id order.

    Attributes:
        keys: the key of the item's distinct pair; None without a usable output.
        statuses: of the output itself, before any metric.
        outside: (metric, position) -> status, for items without a usable output whose reference the metric
            does not cover: they never enter its mean.
        repeated: ids with more than one output: a problem of the submission, not of the item.
    """

    ids: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    takes: list[str] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    output_digests: list[str] = field(default_factory=list)
    outside: dict[tuple[str, int], Status] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Items whose output exists but cannot be used, or not all of it."""
        return tuple(
            Problem(item_id, status, detail, severity_of(status))
            for item_id, status, detail in zip(self.ids, self.statuses, self.details, strict=True)
            if status not in ("ok", "missing") and item_id not in self.repeated
        )

    @property
    def outputs_digest(self) -> str:
        """sha256 over (id, sha256 of the output's bytes)."""
        return digest_of(zip(self.ids, self.output_digests, strict=True))


def distinct_pairs(
    opened: OpenedSubmission, dataset: Dataset, records: ItemRecords, metrics: tuple[str, ...]
) -> Iterator[Work]:
    """Each distinct (output, reference, label) once; every item is added to the records."""
    direction, task = opened.track.direction, dataset.recipe.task
    column = SIDES[direction].output
    partial = tuple(name for name in metrics if registry.metric(name).left_out)
    context = ScoringContext(task)
    records.repeated = opened.outputs.duplicates
    seen: set[bytes] = set()
    rows = dataset.rows(opened.track.split, [column, "label", "group", "take"])
    for row, raw in zip(rows, opened.outputs.read(opened.ids), strict=True):
        decoded = decode_output(raw, task, direction) if raw else _absent(str(row["id"]), opened)
        digest = hashlib.sha256(raw.data).digest() if raw else b""
        known = hashlib.sha256(row[column]["bytes"]).digest()
        key = hashlib.sha256(digest + known + str(row["label"]).encode()).digest()
        _append(records, row, decoded, digest.hex(), key if decoded.media else None)
        if decoded.media is None:
            _note_outside(records, partial, _work(key, known, row, dataset, None), context)
        elif key not in seen:
            seen.add(key)
            yield _work(key, known, row, dataset, decoded)


def _work(key: bytes, digest: bytes, row: dict[str, Any], dataset: Dataset, decoded: Decoded | None) -> Work:
    """The pair as arrays; without an output, the reference takes its place."""
    known = kept((dataset.digest, digest), lambda: reference_of(row, dataset))
    made = known if decoded is None or decoded.media is None else decoded.media
    rate = known.sample_rate_hz if isinstance(known, Sound) else None
    return Work(key, str(row["id"]), int(row["label"]), _values(made), _values(known), digest, rate)


def reference_of(row: dict[str, Any], dataset: Dataset) -> Media:
    """The reference of a row that holds one of the two media columns."""
    if "audio" in row:
        return Sound(audio.to_float(read_clip(row, dataset)), dataset.recipe.audio.sample_rate_hz)
    return Picture(read_image(row, dataset))


def _values(media: Media) -> NDArray[Any]:
    return media.samples if isinstance(media, Sound) else media.pixels


def _note_outside(records: ItemRecords, partial: tuple[str, ...], work: Work, context: ScoringContext) -> None:
    """Records which metrics leave an item out because of its reference: some do not cover every reference."""
    known = reference(work)
    for name in partial:
        (state,) = prepare(name, [Pair(work.id, work.label, known, known)], context)
        if state.status in registry.metric(name).left_out:
            records.outside[name, len(records.ids) - 1] = state.status


def _absent(item_id: str, opened: OpenedSubmission) -> Decoded:
    if item_id in opened.outputs.duplicates:
        return Decoded("unreadable", None, "more than one output for this id")
    return Decoded("missing", None, "no output for this id")


def _append(records: ItemRecords, row: dict[str, Any], decoded: Decoded, digest: str, key: bytes | None) -> None:
    records.ids.append(str(row["id"]))
    records.labels.append(int(row["label"]))
    records.groups.append(str(row["group"]))
    records.takes.append(str(row["take"]))
    records.keys.append(key)
    records.statuses.append(decoded.status)
    records.details.append("; ".join(filter(None, [decoded.detail, *(note.detail for note in decoded.notes)])))
    records.output_digests.append(digest)
