"""Directory or list -> candidate corpus. After any interruption, the same command finishes the same corpus.

Shards are runs of the sorted ids. Each is written under a temporary name and renamed when it is whole, with a report
beside it, so that resuming and accounting depend on no engine. Rows that cannot be read have a status; none is dropped.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import xmbench
from xmbench.errors import CheckError, DatasetError, DocumentError
from xmbench.execution.engine import Workers
from xmbench.execution.executor import check_engine, run_tasks
from xmbench.execution.progress import Progress, silent
from xmbench.formats.document import load_json
from xmbench.formats.harvest import (
    CANDIDATES_FOLDER,
    HARVEST_FILE,
    LABELS_FILE,
    LIST_FILE,
    AnnotatorRecord,
    Harvest,
    HarvestShard,
    HarvestSpec,
    LabelRecord,
    Labels,
    Tally,
    column,
    schema,
)
from xmbench.formats.model import digest_of
from xmbench.harvester import layouts
from xmbench.harvester.candidates import Candidates
from xmbench.harvester.shards import CHUNK, Job, ShardReport, ShardTask, loaded, read_report, write_shard
from xmbench.harvester.weights import Chosen, chosen
from xmbench.interfaces import Annotator
from xmbench.media import video
from xmbench.storage.files import make_folder, read_bytes, replacing, write_text, writing
from xmbench.storage.locks import locked

WORK_FOLDER = ".harvest"
_IDENTITY_FILE, _ROOT_FILE = "identity", "where"
_MOST_ROWS, _FEWEST_ROWS, _USUAL_SHARDS = 1024, CHUNK, 64
_VERSION = "1"  # of what shapes rows here
_MEDIA = ("image", "audio")


@dataclass(frozen=True, slots=True)
class Request:
    """What is harvested, and with what.

    Attributes:
        spec: what is looked at, and how.
        root: the user's directory.
        listed: a list of frames or videos, instead of those in the directory.
        weights: `NAME=FILE` by name, as given.
        device: where the annotators compute: "cpu" or "cuda".
        offline: nothing is fetched.
    """

    spec: HarvestSpec
    root: Path
    listed: Path | None = None
    weights: Mapping[str, str] | None = None
    device: str = "cpu"
    offline: bool = False


def harvest(
    request: Request, out: Path, *, workers: Workers, again: bool = False, progress: Progress = silent
) -> Harvest:
    """Harvests, or finishes a harvest that was interrupted, or repairs one whose files are damaged.

    Args:
        request: what is harvested.
        out: directory of the corpus; created if missing.
        workers: where the work runs. The corpus does not depend on it.
        again: candidates that failed for a temporary reason are tried again.
        progress: called with lines of progress.

    Returns:
        The document of the finished harvest.

    Raises:
        UpstreamError: the user's directory or list is not in a known layout.
        PrerequisiteError: weights are missing or wrong; Ray is not installed.
        DatasetError: `out` holds another harvest, or something else.
        OutputError: `out` cannot be written, another process is working in it, or the disk is full.
        CheckError: a candidate is not accounted for.
    """
    check_engine(workers.engine, workers.address)
    root, out = request.root.absolute(), out.absolute()  # a worker may have another working directory
    used = chosen(request.spec.annotators, request.weights or {}, offline=request.offline, progress=progress)
    if not (out / HARVEST_FILE).exists() and out.is_dir() and _foreign(out):
        raise DatasetError("the directory holds other files", where=out, todo="choose another directory with --out")
    work = make_folder(out / WORK_FOLDER)
    with locked(work / "lock"):
        found = layouts.found_in(request.spec, root, request.listed, work, progress)
        annotators = {one.name: loaded(one, request.device) for one in used}
        heads = tuple((name, head) for name, annotator in annotators.items() for head in annotator.heads)
        identity = _identity(request.spec, found, used, heads)
        _claim(out, work, identity)
        make_folder(out / CANDIDATES_FOLDER)
        _remove_halves(out)
        write_text(out / CANDIDATES_FOLDER / LABELS_FILE, _labels(annotators).to_json())
        job = Job(root, out, make_folder(work / "reports"), request.spec, used, heads, request.device, request.offline)
        reports = _shards(job, found, identity, workers, again, progress)
        records = tuple(_record(one, annotators[one.name]) for one in used)
        done = _document(request.spec, found, records, identity, reports)
        _write_list(out, done, job)
        write_text(out / HARVEST_FILE, done.to_json())
        shutil.rmtree(work / "unpacked", ignore_errors=True)
    return done


def open_harvest(folder: Path) -> Harvest:
    """The document of a finished harvest.

    Raises:
        DatasetError: there is none.
        DocumentError: it is damaged.
    """
    if not (folder / HARVEST_FILE).is_file():
        raise DatasetError(
            "not a finished harvest", where=folder, expected=HARVEST_FILE, todo="run the same `xmbench harvest` again"
        )
    return load_json(folder / HARVEST_FILE, Harvest)


def shard_rows(candidates: int) -> int:
    """Rows of a shard: about 64 shards of small harvests, 1,024 rows of large ones."""
    wanted = -(-candidates // _USUAL_SHARDS)
    return min(_MOST_ROWS, max(_FEWEST_ROWS, -(-wanted // CHUNK) * CHUNK))


# ---------------------------------------------------------------------------------------------- identity
def _foreign(out: Path) -> bool:
    return any(path.name not in (WORK_FOLDER, CANDIDATES_FOLDER, LIST_FILE) for path in out.iterdir())


def _labels(annotators: Mapping[str, Annotator]) -> Labels:
    """What every id of a label means."""
    known: dict[str, LabelRecord] = {}
    for annotator in annotators.values():
        for labels in annotator.heads.values():
            known |= {label.id: LabelRecord(name=label.name, kinds=label.kinds) for label in labels}
    return Labels(labels=dict(sorted(known.items())))


def _identity(spec: HarvestSpec, found: Candidates, used: Sequence[Chosen], heads: Sequence[tuple[str, str]]) -> str:
    """sha256 of everything that shapes rows."""
    shaped_by = {
        "version": _VERSION,
        "spec": spec.model_dump(mode="json"),
        "candidates": found.digest(),
        "annotators": [[one.name, one.sha256] for one in used],
        "heads": [list(head) for head in heads],
        "rows": shard_rows(len(found)),
    }
    return digest_of(shaped_by)


def _claim(out: Path, work: Path, identity: str) -> None:
    """Resumes a harvest, or starts one; refuses a directory of another."""
    known = work / _IDENTITY_FILE
    try:
        before = read_bytes(known).decode()
    except DocumentError:
        before = ""
    if not before and (out / HARVEST_FILE).is_file():
        before = open_harvest(out).identity
    if before and before != identity:
        raise DatasetError(
            "the directory holds another harvest: of other candidates, annotators, weights or settings",
            where=out,
            todo="choose another directory with --out, or remove this one",
        )
    write_text(known, identity)


def _remove_halves(out: Path) -> None:
    """Removes what processes that were killed left half written; the lock is held, so nobody is writing."""
    for folder in (out, out / CANDIDATES_FOLDER, out / WORK_FOLDER / "reports", out / WORK_FOLDER / "unpacked"):
        with writing(out):
            for half in folder.glob(".*.tmp"):
                half.unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------ shards
def _shards(
    job: Job, found: Candidates, identity: str, workers: Workers, again: bool, progress: Progress
) -> list[ShardReport]:
    """Writes what is missing; the reports of all shards, in their order."""
    rows = shard_rows(len(found))
    count = -(-len(found) // rows)
    names = [f"part-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
    reports = {name: report for name in names if (report := _whole(job, name, identity)) is not None}
    due = [i for i, name in enumerate(names) if name not in reports or (again and reports[name].temporary)]
    kept = {name for i, name in enumerate(names) if i in set(due)} & reports.keys() if again else set()
    told = _Told(len(found), progress)
    for name in names:
        if name in reports and name not in kept:
            told.add(reports[name], new=False)
    if due and len(due) < count:
        progress(f"{job.out}: {count - len(due):,} of {count:,} shards are finished")

    def tasks() -> Iterator[ShardTask]:
        for i in due:
            yield ShardTask(names[i], found.part(i * rows, rows), identity, names[i] in kept)

    running = run_tasks(
        write_shard,
        tasks(),
        shared=job,
        engine=workers.engine,
        workers=min(workers.count, max(1, len(due))),
        address=workers.address,
        ordered=False,
    )
    with closing(running):
        for report in running:
            reports[report.name] = report
            told.add(report, new=True)
    return [reports[name] for name in names]


def _whole(job: Job, name: str, identity: str) -> ShardReport | None:
    """The report of a shard whose file is there, of the reported size, and can be opened."""
    report = read_report(job.reports, name)
    path = job.out / CANDIDATES_FOLDER / name
    if report is None or report.digest != identity or not path.is_file() or path.stat().st_size != report.bytes:
        return None
    try:
        rows = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return None
    return report if rows == report.rows else None


class _Told:
    """Lines of progress with the time that is left."""

    def __init__(self, candidates: int, progress: Progress) -> None:
        self._all, self._progress = candidates, progress
        self._started = time.monotonic()
        self._done = self._new = 0
        self._statuses = Counter[str]()

    def add(self, report: ShardReport, *, new: bool) -> None:
        """Counts a shard; tells of one that was written now."""
        self._done += report.rows
        self._statuses["ok"] += report.ok
        self._statuses["filtered"] += sum(report.filtered.values())
        self._statuses["failed"] += sum(report.failed.values())
        if new:
            self._new += report.rows
            self._progress(self._line())

    def _line(self) -> str:
        rate = self._new / max(1e-3, time.monotonic() - self._started)
        statuses = ", ".join(f"{number:,} {name}" for name, number in self._statuses.items() if number or name == "ok")
        share = 100 * self._done / self._all
        left = _duration((self._all - self._done) / rate)
        return f"{self._done:,} of {self._all:,} candidates ({share:.1f} %), {rate:.1f}/s, {left} left; {statuses}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# --------------------------------------------------------------------------------------------- documents
def _document(
    spec: HarvestSpec,
    found: Candidates,
    annotators: tuple[AnnotatorRecord, ...],
    identity: str,
    reports: Sequence[ShardReport],
) -> Harvest:
    """The document; raises CheckError where a candidate is not accounted for."""
    filtered, failed, seconds = Counter[str](), Counter[str](), defaultdict[str, float](float)
    for report in reports:
        filtered.update(report.filtered)
        failed.update(report.failed)
        for stage, value in report.seconds.items():
            seconds[stage] += value
    tally = Tally(
        candidates=len(found),
        ok=sum(report.ok for report in reports),
        filtered=dict(sorted(filtered.items())),
        failed=dict(sorted(failed.items())),
        temporary=sum(report.temporary for report in reports),
    )
    if not tally.balanced:
        raise CheckError(
            f"{tally.candidates:,} candidates, but {tally.ok:,} read + {sum(tally.filtered.values()):,} filtered + "
            f"{sum(tally.failed.values()):,} failed",
            todo="report this: it is a bug",
        )
    return Harvest(
        xmbench_version=xmbench.__version__,
        identity=identity,
        spec=spec,
        annotators=annotators,
        tally=tally,
        duplicates=found.duplicates,
        notes=found.notes,
        shards=tuple(HarvestShard(path=f"{CANDIDATES_FOLDER}/{r.name}", rows=r.rows, bytes=r.bytes) for r in reports),
        versions={"ffmpeg": video.ffmpeg_version(), "torch": version("torch"), "numpy": version("numpy")},
        seconds={name: round(value, 1) for name, value in sorted(seconds.items())},
    )


def _record(one: Chosen, annotator: Annotator) -> AnnotatorRecord:
    digests = {head: digest_of([label.id for label in labels]) for head, labels in annotator.heads.items()}
    return AnnotatorRecord(
        name=one.name, modality=annotator.modality, weights=one.path.name, sha256=one.sha256, heads=digests
    )


def _write_list(out: Path, done: Harvest, job: Job) -> None:
    """Every column but the media, of all candidates in one file: small enough to publish."""
    tops = [column(*head) for head in job.heads]
    columns = pa.schema([field for field in schema(tops) if field.name not in _MEDIA])
    with (
        writing(out),
        replacing(out / LIST_FILE) as temporary,
        pq.ParquetWriter(temporary, columns, compression="zstd") as writer,
    ):
        for shard in done.shards:
            writer.write_table(pq.read_table(out / shard.path, columns=columns.names))
