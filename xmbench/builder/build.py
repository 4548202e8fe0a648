"""Recipe -> data set folder. Whatever happens on the way, the same command finishes the same data set."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from xmbench.builder import assemble, card, execute, ledger, plan, workspace
from xmbench.builder.assemble import ShardReport, ShardTask
from xmbench.builder.fetch import Report, obtain
from xmbench.builder.mirror import PREFIX, HubMirror
from xmbench.builder.plan import Plan, Request
from xmbench.builder.workspace import CARD_FILE, Workspace
from xmbench.errors import CheckError, DocumentError, UpstreamError
from xmbench.formats.dataset import (
    LEDGER_FILE,
    MANIFEST_FILE,
    SPLITS,
    WORK_FOLDER,
    Counts,
    Dataset,
    Manifest,
    ShardRecord,
    SplitRecord,
    dataset_digest,
    open_dataset,
)  # fmt: skip
from xmbench.formats.files import write_text, writing
from xmbench.formats.recipe import Recipe

_TOOLS = ("numpy", "pillow", "pyarrow", "soxr")


def silent(line: str) -> None:
    """A report that nobody reads."""


def build(
    recipe: Recipe,
    out: Path,
    *,
    source: str | Path | None = None,
    limit: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    offline: bool = False,
    rebuild: bool = False,
    report: Report = silent,
) -> Dataset:
    """Builds a data set, or finishes one that was broken off, or mends one whose shards are damaged.

    Args:
        recipe: what to build.
        out: folder of the data set; made if need be.
        source: take the upstream files from this folder, or from `hf:OWNER/NAME@REVISION`, a revision of a data
            set on the Hub, instead of the recipe's addresses.
        limit: items per split, stratified by class; None for all.
        seed: of splits and pairing, instead of the recipe's.
        workers: processes; None for one per processor. The result does not depend on it.
        offline: use only upstream files that were fetched before.
        rebuild: remove what an earlier build made in `out` and start over.
        report: called with one line of progress at a time.

    Returns:
        The finished data set.

    Raises:
        UpstreamError: upstream files are missing, wrong or unreachable.
        UnknownNameError, DocumentError: the recipe names something that is not there.
        DatasetError: `out` belongs to another build.
        OutputError: `out` cannot be written, another process is at work in it, or the disk is full.
        CheckError: the ledger does not balance, nothing was left, or a mended shard came out different.
    """
    request = Request(recipe, limit, seed)
    place = _check(request, source)
    if not rebuild and _whole(out, request):
        report(f"{out}: already built")
        return open_dataset(out)
    with workspace.opened(out) as space:
        if rebuild:
            workspace.remove_build(space)
        else:
            workspace.refuse_foreign(out)
            workspace.refuse_started_by_other(out, request.identity())
        files = obtain(recipe, place, offline=offline, report=report)
        decided = plan.make(request, files, report)
        space.claim(decided.identity, [shard.name for shard in decided.shards])
        before = workspace.manifest_of(out)
        count = workers or execute.available_workers()
        if before is None:
            _first(space, decided, place, count, report)
        else:
            _mend(space, decided, before, count, report)
    return open_dataset(out)


def _check(request: Request, source: str | Path | None) -> Path | HubMirror | None:
    """Checks what was asked for, before any work; returns where the upstream files are."""
    if request.limit is not None and request.limit < 1:
        raise DocumentError(f"the limit is {request.limit}", where="--limit", expected="1 or more items per split")
    plan.check(request.recipe)
    if source is None:
        return None
    if str(source).startswith(PREFIX):
        return HubMirror(str(source))
    if not Path(source).is_dir():
        raise UpstreamError(
            "no such folder", where=source,
            expected="--source DIR: a local folder with the upstream files, or --source hf:OWNER/NAME@REVISION",
        )  # fmt: skip
    return Path(source)


def _whole(out: Path, request: Request) -> bool:
    """Whether the folder holds exactly this data set, with every file there.

    Raises:
        DatasetError: it holds another one.
    """
    manifest = workspace.manifest_of(out)
    if manifest is None:
        return False
    there = {
        "recipe": manifest.recipe.name, "recipe digest": manifest.recipe_digest,
        "limit": "none" if manifest.limit is None else str(manifest.limit), "seed": str(manifest.seed),
    }  # fmt: skip
    workspace.refuse_other(out, there, request.identity())
    documents = all((out / name).is_file() for name in (CARD_FILE, LEDGER_FILE))
    left_over = (out / WORK_FOLDER).exists()
    return documents and not left_over and not workspace.damaged_shards(out, manifest)


# ------------------------------------------------------------------------------------------- first build
def _first(space: Workspace, decided: Plan, place: Path | HubMirror | None, workers: int, report: Report) -> None:
    """Writes what is missing of a new data set and moves it into place."""
    reports = _shards(space, decided, [shard.name for shard in decided.shards], workers, report)
    rows = [*decided.ledger, *(row for done in reports for row in done.ledger)]
    manifest = _manifest(decided, reports, rows)
    if isinstance(place, HubMirror):
        manifest = manifest.model_copy(update={"mirror": place.origin})
    _documents(space, Dataset(space.work, manifest), decided.attributes, rows)
    space.publish_data()
    space.publish_documents()
    report(f"{space.folder}: {sum(len(done.rows) for done in reports):,} rows, digest {manifest.dataset_digest}")


def _shards(space: Workspace, decided: Plan, names: Sequence[str], workers: int, report: Report) -> list[ShardReport]:
    """Reports of the named shards: taken up from an earlier try, or written now."""
    kept = {}
    for name in names:
        done = assemble.read_report(space.reports, name)
        path = space.data / name
        if done and done.plan == decided.digest and path.is_file() and path.stat().st_size == done.bytes:
            kept[name] = done
    if kept:
        report(f"taking up an earlier build: {len(kept)} of {len(names)} shards are finished")
    tasks = [
        ShardTask(shard, {item.take: decided.takes[item.take] for item in shard.items})
        for shard in decided.shards
        if shard.name in names and shard.name not in kept
    ]
    total = sum(len(task.shard.items) for task in tasks)
    report(f"writing {total:,} rows in {len(tasks)} shards")
    written = Counter[str]()

    def tell(done: ShardReport) -> None:
        written["rows"] += len(done.rows)
        report(f"  {done.name}: {written['rows']:,} of {total:,} rows")

    job = assemble.job(decided, space.data, space.reports)
    fresh = {done.name: done for done in execute.run(job, tasks, workers, tell)}
    return [kept.get(name) or fresh[name] for name in names]


def _manifest(decided: Plan, reports: Sequence[ShardReport], rows: Sequence[ledger.LedgerRow]) -> Manifest:
    """The manifest of a new data set.

    Raises:
        CheckError: the ledger does not balance, or there are no rows.
    """
    request = decided.request
    written = Counter[tuple[str, str]]()
    for done in reports:
        written.update({(done.split, label): number for label, number in done.classes.items()})
    counts = ledger.count(decided.planned, written, rows)
    problems = ledger.imbalances(counts)
    if problems:
        raise CheckError("items are not accounted for", problems=problems, todo="report this: it is a bug")
    if not any(done.rows for done in reports):
        reasons = Counter(f"{row.stage}: {row.reason}" for row in rows if row.kind == "item")
        raise CheckError(
            "no item became a row", problems=[f"{number:,} x {reason}" for reason, number in reasons.items()],
            todo="change the recipe's durations, voices or classes",
        )  # fmt: skip
    digests = [(done.split, name, digest) for done in reports for name, digest in done.rows]
    return Manifest(
        recipe=request.recipe,
        recipe_digest=request.recipe.digest,
        dataset_digest=dataset_digest(digests),
        limit=request.limit,
        seed=request.pairing_seed,
        xmbench_version=version("xmbench"),
        tools={"python": platform.python_version(), **{name: version(name) for name in _TOOLS}},
        sources=dict(decided.sources),
        splits={name: _split(name, counts, reports) for name in SPLITS},
        shards=tuple(_record(done) for done in reports),
    )


def _split(name: str, counts: dict[tuple[str, str], Counts], reports: Sequence[ShardReport]) -> SplitRecord:
    classes = {label: part for (split, label), part in counts.items() if split == name}
    takes: dict[str, set[str]] = {label: set() for label in classes}
    for done in reports:
        if done.split == name:
            for label, keys in done.takes.items():
                takes[label].update(keys)
    return SplitRecord(
        counts=ledger.total(classes.values()),
        classes=classes,
        takes={label: len(keys) for label, keys in takes.items()},
    )


def _record(done: ShardReport) -> ShardRecord:
    return ShardRecord(
        path=f"{workspace.DATA_FOLDER}/{done.name}", split=done.split, rows=len(done.rows), bytes=done.bytes,
        digest=assemble.shard_digest(done),
    )  # fmt: skip


def _documents(
    space: Workspace, dataset: Dataset, attributes: tuple[str, ...], rows: Sequence[ledger.LedgerRow]
) -> None:
    """Writes card, ledger and manifest into the work folder."""
    with writing(space.folder):
        ledger.write(space.work / LEDGER_FILE, rows)
    write_text(space.work / CARD_FILE, card.render(dataset, attributes))
    write_text(space.work / MANIFEST_FILE, dataset.manifest.to_json())


# ---------------------------------------------------------------------------------------------- mending
def _mend(space: Workspace, decided: Plan, before: Manifest, workers: int, report: Report) -> None:
    """Writes the shards of a finished data set that are missing or wrong.

    Raises:
        CheckError: a shard came out with other content than the manifest says.
    """
    no_ledger = not (space.folder / LEDGER_FILE).is_file()
    names = [Path(shard.path).name for shard in before.shards]
    if not no_ledger:
        names = workspace.damaged_shards(space.folder, before)
    if names:
        report(f"{space.folder}: {len(names)} shard(s) to write again")
    there = {shard.name for shard in decided.shards}
    strangers = [f"{name}: this version of xmbench writes no such shard" for name in names if name not in there]
    reports = [] if strangers else _shards(space, decided, names, workers, report)
    records = {record.path: record for record in map(_record, reports)}
    problems = strangers + [
        f"{shard.path}: content {records[shard.path].digest}, the manifest says {shard.digest}"
        for shard in before.shards
        if shard.path in records and records[shard.path].digest != shard.digest
    ]
    if problems:
        raise CheckError(
            "the shards that were written again are not those that are missing", where=space.folder,
            problems=problems, expected="the same sources and versions: " + _versions(before),
            todo="install those versions, or start over with --rebuild",
        )  # fmt: skip
    rows = [*decided.ledger, *(row for done in reports for row in done.ledger)]
    shards = tuple(records.get(shard.path, shard) for shard in before.shards)
    after = Dataset(space.folder, before.model_copy(update={"shards": shards}))
    space.publish_shards(names)
    if no_ledger:
        with writing(space.folder):
            ledger.write(space.work / LEDGER_FILE, rows)
    write_text(space.work / CARD_FILE, card.render(after, card.attributes_of(after)))
    write_text(space.work / MANIFEST_FILE, after.manifest.to_json())
    space.publish_documents()


def _versions(manifest: Manifest) -> str:
    found = [f"{name} {v}" for record in manifest.sources.values() for name, v in record.versions.items()]
    return ", ".join([f"xmbench {manifest.xmbench_version}", *found])
