"""Reads a whole data set and checks everything that its manifest and card say. Every problem is listed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xmbench.builder import ledger
from xmbench.builder.fetch import Report
from xmbench.builder.workspace import CARD_FILE, DATA_FOLDER
from xmbench.errors import DatasetError, MediaError
from xmbench.formats.dataset import (
    LEDGER_FILE,
    Dataset,
    ShardRecord,
    content_digest,
    dataset_digest,
    row_digest,
    samples_digest,
)  # fmt: skip
from xmbench.formats.document import ID_PATTERN
from xmbench.media import audio, image

_COLUMNS = ("id", "image", "audio", "label", "take", "group", "duration_s")
_BATCH_ROWS = 250
_TOLD_EVERY = 10_000
# A duration is stored in seconds with six digits.
_DURATION_TOLERANCE_S = 1e-6


@dataclass(slots=True)
class Validation:
    """What was looked at, and what does not hold.

    Attributes:
        dataset: name of the recipe.
        digest: of the content that was read.
        rows: rows read, by split.
        takes: distinct takes, by split.
        notes: true and expected, worth knowing.
        problems: one line each; the data set is right when there is none.
    """

    dataset: str
    digest: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    takes: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"holds": self.holds, **asdict(self)}


@dataclass(slots=True)
class _Seen:
    """What the rows that were read so far hold."""

    digests: list[tuple[str, str, str]] = field(default_factory=list)
    classes: Counter[tuple[str, int]] = field(default_factory=Counter)
    takes: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    groups: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    clips: dict[tuple[str, str], tuple[bytes, bytes, int]] = field(default_factory=dict)
    heard: dict[bytes, set[str]] = field(default_factory=lambda: defaultdict(set))
    ids: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def validate(dataset: Dataset, report: Report = lambda line: None) -> Validation:
    """Decodes every image and clip of a data set and compares it with its documents.

    Args:
        dataset: an opened data set folder.
        report: called with lines of progress.

    Returns:
        The findings. Nothing is raised for a data set that is wrong.
    """
    found = Validation(dataset.recipe.name)
    seen = _Seen()
    for shard in dataset.manifest.shards:
        _check_shard(dataset, shard, seen, report)
    found.problems += seen.problems
    found.digest = dataset_digest(seen.digests)
    if found.digest != dataset.digest:
        found.problems.append(f"digest of the content {found.digest}, the manifest says {dataset.digest}")
    for split in dataset.manifest.splits:
        found.rows[split] = sum(n for (name, _), n in seen.classes.items() if name == split)
        found.takes[split] = len(seen.takes[split])
    _check_counts(dataset, seen, found)
    _check_leakage(dataset, seen, found)
    _check_ledger(dataset, found)
    _check_card(dataset, found)
    _check_strays(dataset, found)
    return found


# ----------------------------------------------------------------------------------------------- shards
def _check_shard(dataset: Dataset, shard: ShardRecord, seen: _Seen, report: Report) -> None:
    digests: list[tuple[str, str, str]] = []
    before = ""
    try:
        for row in _rows(dataset.folder / shard.path):
            item = str(row["id"])
            if item <= before:
                seen.problems.append(f"{shard.path}: '{item}' stands after '{before}': not in the order of ids")
            before = item
            digests.append((shard.split, item, _check_row(dataset, shard.split, row, seen)))
            if (len(seen.digests) + len(digests)) % _TOLD_EVERY == 0:
                report(f"  {len(seen.digests) + len(digests):,} rows")
    except DatasetError as error:
        seen.problems.append(f"{shard.path}: {error.what}")
    if len(digests) != shard.rows:
        seen.problems.append(f"{shard.path}: {len(digests)} rows, the manifest says {shard.rows}")
    if dataset_digest(digests) != shard.digest:
        seen.problems.append(f"{shard.path}: its content is not what the manifest says")
    seen.digests += digests


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        file = pq.ParquetFile(path)
        absent = [name for name in _COLUMNS if name not in file.schema_arrow.names]
        if absent:
            raise DatasetError(f"without the column(s) {', '.join(absent)}")
        if b"huggingface" not in (file.schema_arrow.metadata or {}):
            raise DatasetError("without the metadata that tells `datasets` the columns' types")
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(_COLUMNS)):
            yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"the shard cannot be read ({str(error)[:200]})") from error


def _check_row(dataset: Dataset, split: str, row: dict[str, Any], seen: _Seen) -> str:
    """Checks one row; returns its digest, empty where it cannot be decoded."""
    item, label, take = str(row["id"]), row["label"], str(row["take"])
    problems = seen.problems
    if not re.match(ID_PATTERN, item):
        problems.append(f"'{item}': the id does not match {ID_PATTERN}")
    if item in seen.ids:
        problems.append(f"'{item}': the id stands there twice")
    seen.ids.add(item)
    if not isinstance(label, int) or not 0 <= label < len(dataset.recipe.classes.names):
        problems.append(f"'{item}': label {label}, expected 0..{len(dataset.recipe.classes.names) - 1}")
        return ""
    seen.classes[split, label] += 1
    seen.groups[str(row["group"])].add(split)
    if seen.takes[split].setdefault(take, label) != label:
        problems.append(f"'{item}': the take '{take}' belongs to two classes")
    try:
        picture = image.decode(row["image"]["bytes"] or b"")
        heard, length = _clip(dataset, split, row, seen)
    except (MediaError, TypeError) as error:
        problems.append(f"'{item}': {error.what if isinstance(error, MediaError) else 'no media bytes'}")
        return ""
    wanted = dataset.recipe.task.image
    if picture.shape != (wanted.height_px, wanted.width_px, wanted.channels):
        problems.append(f"'{item}': image of shape {picture.shape}")
    _check_duration(dataset, item, row["duration_s"], length, problems)
    return row_digest(split, item, label, content_digest(picture), heard)


def _clip(dataset: Dataset, split: str, row: dict[str, Any], seen: _Seen) -> tuple[bytes, int]:
    """Digest of a row's clip and its samples before the padding; equal bytes of a take are decoded once."""
    data: bytes = row["audio"]["bytes"] or b""
    place = (split, str(row["take"]))
    known = seen.clips.get(place)
    if known and known[0] == data:
        return known[1], known[2]
    wanted = dataset.recipe.audio
    samples, rate = audio.decode_mono_int16(data)
    if known:
        seen.problems.append(f"'{row['id']}': its clip differs from other clips of the take '{place[1]}'")
    if rate != wanted.sample_rate_hz:
        seen.problems.append(f"'{row['id']}': {rate} Hz, expected {wanted.sample_rate_hz}")
    if len(samples) != wanted.samples:
        seen.problems.append(f"'{row['id']}': {len(samples)} samples, expected {wanted.samples}")
    loud = np.flatnonzero(samples)
    if len(loud) == 0:
        seen.problems.append(f"'{row['id']}': a silent clip")
    digest, length = samples_digest(samples, rate), int(loud[-1]) + 1 if len(loud) else 0
    seen.clips[place] = (data, digest, length)
    seen.heard[digest].add(split)
    return digest, length


def _check_duration(dataset: Dataset, item: str, duration_s: float, length: int, problems: list[str]) -> None:
    wanted = dataset.recipe.audio
    low, high = wanted.min_duration_s, wanted.max_duration_s
    if not low - _DURATION_TOLERANCE_S <= duration_s <= high + _DURATION_TOLERANCE_S:
        problems.append(f"'{item}': duration {duration_s} s, the recipe wants {low} to {high} s")
    if length / wanted.sample_rate_hz > duration_s + _DURATION_TOLERANCE_S:
        problems.append(
            f"'{item}': sound until {length / wanted.sample_rate_hz:.3f} s, but a duration of {duration_s} s"
        )


# -------------------------------------------------------------------------------------------- documents
def _check_counts(dataset: Dataset, seen: _Seen, found: Validation) -> None:
    names = dataset.recipe.classes.names
    for split, record in dataset.manifest.splits.items():
        if found.rows[split] != record.counts.written:
            found.problems.append(f"{split}: {found.rows[split]} rows, the manifest says {record.counts.written}")
        takes = Counter(seen.takes[split].values())
        for k, name in enumerate(names):
            there = record.classes.get(name)
            if there is None or there.written != seen.classes[split, k]:
                said = there.written if there else "nothing"
                found.problems.append(
                    f"{split}, class '{name}': {seen.classes[split, k]} rows, the manifest says {said}"
                )
            if record.takes.get(name) != takes[k]:
                found.problems.append(
                    f"{split}, class '{name}': {takes[k]} takes, the manifest says {record.takes.get(name)}"
                )
            if seen.classes[split, k] == 0 and there is not None and there.planned:
                found.problems.append(f"{split}, class '{name}': no row at all of {there.planned} planned")


def _check_leakage(dataset: Dataset, seen: _Seen, found: Validation) -> None:
    crossing = sorted(group for group, splits in seen.groups.items() if len(splits) > 1)
    found.problems += [f"the group '{group}' stands in several splits" for group in crossing]
    shared = sum(len(splits) > 1 for splits in seen.heard.values())
    if dataset.recipe.regime == "multi-take":
        if shared:
            found.problems.append(f"{shared} waveform(s) are heard in several splits")
    elif shared:
        found.notes.append(f"single-take: {shared} waveform(s) are shared by the splits, as the recipe says")


def _check_ledger(dataset: Dataset, found: Validation) -> None:
    manifest = dataset.manifest
    counts = {
        (split, label): part for split, record in manifest.splits.items() for label, part in record.classes.items()
    }
    found.problems += ledger.imbalances(counts)
    for split, record in manifest.splits.items():
        if ledger.total(record.classes.values()) != record.counts:
            found.problems.append(f"{split}: the counts of its classes do not add up to its own")
    try:
        rows = ledger.read(dataset.folder / LEDGER_FILE)
    except DatasetError as error:
        found.problems.append(f"{LEDGER_FILE}: {error.what}")
        return
    written = {place: part.written for place, part in counts.items()}
    counted = ledger.count({place: part.planned for place, part in counts.items()}, written, rows)
    found.problems += [
        f"{LEDGER_FILE}: {split}, class '{label}' does not agree with the manifest"
        for (split, label), part in counts.items()
        if counted[split, label] != part
    ]
    left_out = Counter(f"{row.reason} ({row.kind}s)" for row in rows)
    found.notes += [f"left out: {number:,} x {reason}" for reason, number in sorted(left_out.items())]


def _check_card(dataset: Dataset, found: Validation) -> None:
    from huggingface_hub import DatasetCard

    path = dataset.folder / CARD_FILE
    try:
        info = DatasetCard.load(path, ignore_metadata_errors=False).data.to_dict().get("dataset_info", {})
        said = {part["name"]: part["num_examples"] for part in info.get("splits", [])}
    except Exception as error:  # the Hub's reader raises whatever YAML and its own checks raise
        found.problems.append(f"{CARD_FILE}: cannot be read ({str(error).splitlines()[0] if str(error) else error!r})")
        return
    wanted = {split: record.counts.written for split, record in dataset.manifest.splits.items()}
    if said != wanted:
        found.problems.append(f"{CARD_FILE}: it says {said} rows, the manifest says {wanted}")


def _check_strays(dataset: Dataset, found: Validation) -> None:
    """`load_dataset` would take up any file beside the shards."""
    known = {Path(shard.path).name for shard in dataset.manifest.shards}
    there = {path.name for path in (dataset.folder / DATA_FOLDER).iterdir()}
    found.problems += [f"{DATA_FOLDER}/{name}: no part of the data set" for name in sorted(there - known)]
    if dataset.manifest.recipe.digest != dataset.manifest.recipe_digest:
        found.problems.append("the manifest's recipe does not have the digest that the manifest says")
