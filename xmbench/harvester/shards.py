"""One shard of a harvest: candidates read, labelled and written, one file at a time; complete or absent."""

from __future__ import annotations

import functools
import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from xmbench import registry
from xmbench.errors import DocumentError
from xmbench.formats.harvest import CANDIDATES_FOLDER, OK, HarvestSpec, column, schema
from xmbench.harvester.candidates import Candidate
from xmbench.harvester.read import Found, Reader
from xmbench.harvester.weights import Chosen
from xmbench.interfaces import Annotator, Rejected
from xmbench.media import audio
from xmbench.media.signal import Media, Picture, Sound
from xmbench.storage.files import read_bytes, replacing, write_text

_DIGITS = 32  # of digests that tell whether two candidates have the same picture or sound
Seconds = defaultdict[str, float]  # stage -> seconds of computing
CHUNK = 32  # candidates that are read while the ones before are labelled; also the rows of a row group


@dataclass(frozen=True)
class Job:
    """What all shards share. Sent to each worker once.

    Attributes:
        root: the user's directory.
        out: of the harvest.
        reports: directory of the shards' reports.
        spec: of the harvest.
        annotators: with their weights.
        heads: columns of labels, in the order of the schema.
        device: where the annotators compute.
        offline: nothing is fetched.
    """

    root: Path
    out: Path
    reports: Path
    spec: HarvestSpec
    annotators: tuple[Chosen, ...]
    heads: tuple[tuple[str, str], ...]
    device: str = "cpu"
    offline: bool = False

    @property
    def schema(self) -> pa.Schema:
        """Columns of the files."""
        return schema([column(*head) for head in self.heads])


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One file to write.

    Attributes:
        name: of the file.
        candidates: its rows, sorted by id.
        digest: of the harvest's identity; only such a file is kept.
        again: rows of the present file are kept, except those that failed for a temporary reason.
    """

    name: str
    candidates: tuple[Candidate, ...]
    digest: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What became of the candidates of a shard; stored as JSON beside it.

    Attributes:
        digest: of the harvest's identity.
        name, bytes, rows: of the file.
        ok: rows with media and labels.
        filtered, failed: reason -> rows.
        temporary: of the failed ones, those that a later try may read.
        seconds: stage -> seconds of computing.
    """

    digest: str
    name: str
    bytes: int
    rows: int
    ok: int
    filtered: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    temporary: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


REPORT = TypeAdapter(ShardReport)


def write_shard(job: Job, task: ShardTask) -> ShardReport:
    """Reads and labels the candidates of a shard, and writes its file and its report.

    A candidate that cannot be read or labelled is a row with a status; the file has as many rows as candidates.

    Raises:
        OutputError: the directory cannot be written, or the disk is full.
        PrerequisiteError: an annotator cannot be loaded.
    """
    path = job.out / CANDIDATES_FOLDER / task.name
    kept = _kept(path) if task.again else {}
    counted, seconds = _Counted(), Seconds(float)
    due = [candidate for candidate in task.candidates if candidate.id not in kept]
    rows = _rows(job, due, seconds)
    with replacing(path) as temporary, pq.ParquetWriter(temporary, job.schema, **_options(job)) as writer:
        for some in _chunks(task.candidates):
            made = [kept.pop(candidate.id) if candidate.id in kept else next(rows) for candidate in some]
            started = time.perf_counter()
            for row in made:
                counted.add(row)
            writer.write_table(pa.Table.from_pylist(made, schema=job.schema), row_group_size=CHUNK)
            seconds["write"] += time.perf_counter() - started
    report = ShardReport(
        task.digest,
        task.name,
        path.stat().st_size,
        len(task.candidates),
        counted.ok,
        dict(sorted(counted.filtered.items())),
        dict(sorted(counted.failed.items())),
        counted.temporary,
        {name: round(value, 3) for name, value in sorted(seconds.items())},
    )
    write_text(job.reports / f"{task.name}.json", REPORT.dump_json(report).decode())
    return report


def read_report(folder: Path, name: str) -> ShardReport | None:
    """The report of a shard; None where it is missing or damaged."""
    try:
        return REPORT.validate_json(read_bytes(folder / f"{name}.json"))
    except (DocumentError, ValidationError):
        return None


def _options(job: Job) -> dict[str, Any]:
    """Of the file: no dictionary and no statistics of media."""
    labels = [f"{column(*head)}.list.element.label" for head in job.heads]
    plain = ["group", "status", "stage", "detail"]
    return {"compression": "zstd", "use_dictionary": [*plain, *labels], "write_statistics": ["id", "status"]}


@dataclass
class _Counted:
    """Statuses of the rows written so far."""

    ok: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    temporary: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Counts a row."""
        if row["status"] == OK:
            self.ok += 1
        else:
            (self.filtered if row["filtered"] else self.failed)[row["status"]] += 1
            self.temporary += bool(row["temporary"])


def _kept(path: Path) -> dict[str, dict[str, Any]]:
    """Rows of a file that need no second try."""
    return {row["id"]: row for row in pq.read_table(path).to_pylist() if not row["temporary"]}


def _rows(job: Job, candidates: Sequence[Candidate], seconds: Seconds) -> Iterator[dict[str, Any]]:
    """A row per candidate; a thread reads the next ones while the networks label these."""
    reader = Reader(job.root, job.spec, job.offline)

    def read(some: Sequence[Candidate]) -> list[Found | Rejected]:
        started = time.perf_counter()
        found = list(reader.read(some))
        seconds["read"] += time.perf_counter() - started
        return found

    chunks = _chunks(candidates)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read, chunks[0]) if chunks else None
        for number, chunk in enumerate(chunks):
            assert coming is not None
            found = coming.result()
            coming = pool.submit(read, chunks[number + 1]) if number + 1 < len(chunks) else None
            yield from _labelled(job, chunk, found, seconds)


def _chunks(candidates: Sequence[Candidate]) -> list[Sequence[Candidate]]:
    return [candidates[i : i + CHUNK] for i in range(0, len(candidates), CHUNK)]


def _labelled(
    job: Job, candidates: Sequence[Candidate], found: Sequence[Found | Rejected], seconds: Seconds
) -> list[dict[str, Any]]:
    """Rows of some candidates, with the labels of every annotator."""
    statuses = list(found)
    tops: dict[int, dict[str, list[dict[str, Any]]]] = {i: {} for i in range(len(statuses))}
    for chosen in job.annotators:
        annotator = loaded(chosen, job.device)
        started = time.perf_counter()
        items = {i: _item(one, chosen.modality, job.spec) for i, one in enumerate(statuses) if isinstance(one, Found)}
        for i, made in _probabilities(annotator, items).items():
            if isinstance(made, Rejected):
                statuses[i] = made
                continue
            for head, values in made.items():
                tops[i][column(chosen.name, head)] = _top(annotator, head, values, job.spec.top)
        seconds[chosen.name] += time.perf_counter() - started
    return [_row(c, status, tops[i], job) for i, (c, status) in enumerate(zip(candidates, statuses, strict=True))]


@functools.lru_cache(maxsize=8)
def loaded(chosen: Chosen, device: str) -> Annotator:
    """An annotator of this process, loaded once."""
    return registry.annotator(chosen.name).load(chosen.path, device)


def _item(found: Found, modality: str, spec: HarvestSpec) -> Media:
    if modality == "image":
        return Picture(found.pixels)
    return Sound(audio.to_float(found.samples), spec.sample_rate_hz)


def _probabilities(annotator: Annotator, items: Mapping[int, Media]) -> dict[int, dict[str, Any] | Rejected]:
    """Probabilities of each item by its place; where they cannot be computed together, one at a time."""
    if not items:
        return {}
    try:
        together = annotator.probabilities(list(items.values()))
        return {i: {head: values[n] for head, values in together.items()} for n, i in enumerate(items)}
    except (ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
        if len(items) == 1:
            detail = f"{type(error).__name__}: {str(error)[:200]}"
            return {i: Rejected("label", "not-labelled", detail) for i in items}
        return {i: made for one in items for i, made in _probabilities(annotator, {one: items[one]}).items()}


def _top(annotator: Annotator, head: str, values: np.ndarray[Any, Any], number: int) -> list[dict[str, Any]]:
    """The most probable labels; of equal ones the first in the order of their ids."""
    labels = annotator.heads[head]
    order = sorted(range(len(labels)), key=lambda k: (-float(values[k]), labels[k].id))[:number]
    return [{"label": labels[k].id, "probability": float(values[k])} for k in order]


def _row(
    candidate: Candidate, status: Found | Rejected, tops: Mapping[str, list[dict[str, Any]]], job: Job
) -> dict[str, Any]:
    row: dict[str, Any] = {"id": candidate.id, "group": candidate.group, "source": candidate.source}
    if isinstance(status, Rejected):
        about = {"status": status.reason, "stage": status.stage, "detail": status.detail[:500]}
        return row | about | {"filtered": status.filtered, "temporary": status.temporary, "start_s": candidate.start_s}
    sound = audio.encode_flac(status.samples, job.spec.sample_rate_hz)
    return {
        **row,
        "status": OK,
        "stage": "",
        "filtered": False,
        "temporary": False,
        "detail": "",
        "start_s": status.start_s,
        "sound_s": status.sound_s,
        "brightness": status.brightness,
        "contrast": status.contrast,
        "motion": status.motion,
        "level_db": status.level_db,
        "frame_hash": status.frame_hash,
        "picture_digest": hashlib.sha256(status.picture).hexdigest()[:_DIGITS],
        "sound_digest": hashlib.sha256(status.samples.tobytes()).hexdigest()[:_DIGITS],
        "image": {"bytes": status.picture, "path": f"{candidate.id}{status.ending}"},
        "audio": {"bytes": sound, "path": f"{candidate.id}.flac"},
        **tops,
    }
