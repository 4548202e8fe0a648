"""`xmbench retry`: retries what failed for a temporary reason; everything else stays as it is.

The plan is made again with the clips and failures recorded in the directory, as if the failure had not happened. Shards
whose rows are now paired differently are rewritten; all others are kept, after their content was compared with the
manifest.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xmbench.builder import documents, plan, previous_build, workspace
from xmbench.builder.build import check
from xmbench.builder.plan import Plan, Request
from xmbench.builder.shard_writer import ShardReport
from xmbench.builder.upstream.fetch import Mirror, obtain
from xmbench.builder.workspace import Workspace
from xmbench.errors import DatasetError, UpstreamError
from xmbench.execution.engine import Engine, Workers, available_workers
from xmbench.execution.executor import check_engine
from xmbench.execution.progress import Progress, silent
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset, Manifest, open_dataset
from xmbench.formats.layout import DATA_FOLDER, LEDGER_FILE
from xmbench.formats.ledger import LedgerRow
from xmbench.storage.files import writing


@dataclass(frozen=True, slots=True)
class Retried:
    """The outcome of a retry.

    Attributes:
        dataset: after the retry.
        due: items that had failed for a temporary reason.
        left: those that failed again.
        shards: number of rewritten files.
    """

    dataset: Dataset
    due: int
    left: int
    shards: int


def retry(
    folder: Path,
    *,
    source: Path | Mirror | None = None,
    workers: int | None = None,
    engine: Engine = "local",
    ray_address: str = "",
    offline: bool = False,
    progress: Progress = silent,
) -> Retried:
    """Retries what failed for a temporary reason.

    Args:
        folder: of a finished data set.
        source: where the upstream files are, as in `build`.
        workers: processes; None for one per processor.
        engine: where shards are written, as in `build`.
        ray_address: of the cluster, as in `build`.
        offline: use only upstream files that were fetched before, and no online speech engine.
        progress: called with one line of progress at a time.

    Raises:
        PrerequisiteError: Ray is not installed, or there is no cluster at the address.
        DatasetError: not a finished data set, a damaged one, or one built with other versions or files.
        UpstreamError: upstream files are missing, wrong or unreachable.
        OutputError: the directory cannot be written, or another process is working in it.
    """
    check_engine(engine, ray_address)
    if engine == "ray":  # its workers have another working directory
        folder = folder.absolute()
        source = source.absolute() if isinstance(source, Path) else source
    if not workspace.manifest_of(folder):
        open_dataset(folder)  # raises the reason
    with workspace.opened(folder) as space:
        space.finish_replacing()
        dataset = open_dataset(folder)
        before = ledger.read(folder / LEDGER_FILE)
        if not any(row.temporary for row in before):
            progress(f"{folder}: nothing failed for a temporary reason")
            return Retried(dataset, 0, 0, 0)
        decided = _decided(space, dataset, source, offline, progress)
        where = Workers(workers or available_workers(), engine, ray_address)
        rows, changed = _replaced(space, dataset, decided, before, where, progress)
    return Retried(open_dataset(folder), _temporary_items(before), _temporary_items(rows), changed)


def _replaced(
    space: Workspace, dataset: Dataset, decided: Plan, before: Sequence[LedgerRow], workers: Workers, progress: Progress
) -> tuple[list[LedgerRow], int]:
    """Replaces the data set by the planned one; returns the new ledger and the number of rewritten shards."""
    space.claim(decided.identity, [shard.name for shard in decided.shards])
    lost = _lost_for_good(before)
    decided = previous_build.without(decided, lost)
    changed = _changed(dataset, decided)
    rows, manifest = _written(space, dataset, decided, lost, changed, workers, progress)
    tried = {(row.kind, row.id): row.attempts + row.temporary for row in before}
    rows = [replace(row, attempts=tried.get((row.kind, row.id), 1)) for row in rows]
    documents.documents(space, Dataset(space.work, manifest), decided.attributes, rows)
    space.replace([shard.name for shard in decided.shards])
    return rows, len(changed)


def _temporary_items(rows: Iterable[LedgerRow]) -> int:
    return sum(row.kind == "item" and row.temporary for row in rows)


def _decided(
    space: Workspace, dataset: Dataset, source: Path | Mirror | None, offline: bool, progress: Progress
) -> Plan:
    """The plan of the data set, made again with the recorded clips and failures.

    Raises:
        DatasetError: files, versions or layout are not those that it was built with.
    """
    before, folder = dataset.manifest, dataset.folder
    # The recipe's own seed was most likely not given, and then splits have the recipe's as well.
    seed = None if before.seed == before.recipe.pairing.seed else before.seed
    request = Request(before.recipe, before.limit, seed, before.speech)
    place = check(request, source)
    changed = any(record.changed for record in before.sources.values())
    files = obtain(before.recipe, place, offline=offline, progress=progress, accept_changed=changed)
    known = previous_build.clips(folder, before, space.clips, again=True)
    decided = plan.make(request, files, space.clips, progress, known, offline, before.layout)
    problems = _differences(before, decided)
    if problems:
        raise DatasetError(
            "this data set was built from other files or versions",
            where=folder,
            problems=problems,
            expected="the same files and versions",
            todo="install those versions, or rebuild it with `xmbench build --rebuild`",
        )
    return decided


def _differences(before: Manifest, decided: Plan) -> list[str]:
    problems = []
    for role, record in before.sources.items():
        now = decided.sources[role]
        for recorded, found in ((record.versions, now.versions), (record.files, now.files)):
            problems += [
                f"{role}: {name} {recorded.get(name, '-')} recorded, {found.get(name, '-')} now"
                for name in sorted({*recorded, *found})
                if recorded.get(name) != found.get(name)
            ]
        problems += [
            f"{role}: {name} was another file, sha256 {fetched.sha256} recorded, {now.fetched[name].sha256} now"
            for name, fetched in record.fetched.items()
            if name in now.fetched and now.fetched[name].sha256 != fetched.sha256
        ]
    there = {Path(shard.path).name for shard in before.shards}
    planned = {shard.name for shard in decided.shards}
    return problems + [f"{name}: written by only one of the xmbench versions" for name in sorted(there ^ planned)]


def _lost_for_good(before: Iterable[LedgerRow]) -> dict[str, LedgerRow]:
    """Items whose image cannot be used, by id: they are not retried. Those without a take are planned again."""
    rows = list(before)
    takes = {(row.stage, row.reason, row.detail) for row in rows if row.kind == "take"}
    return {
        row.id: row
        for row in rows
        if row.kind == "item"
        and not row.temporary
        and row.stage != "pair"
        and (row.stage, row.reason, row.detail) not in takes
    }


def _changed(dataset: Dataset, decided: Plan) -> list[str]:
    """Names of the shards that do not hold exactly the planned rows."""
    return [
        shard.name
        for shard in decided.shards
        if previous_build.takes_of(dataset.folder / DATA_FOLDER / shard.name)
        != {item.id: item.take for item in shard.items}
    ]


def _written(
    space: Workspace,
    dataset: Dataset,
    decided: Plan,
    lost: Mapping[str, LedgerRow],
    changed: list[str],
    workers: Workers,
    progress: Progress,
) -> tuple[list[LedgerRow], Manifest]:
    """Writes the changed shards into the work directory, links the others; returns ledger rows and manifest of all."""
    fresh = documents.shards(space, decided, changed, workers, progress)
    reports: dict[str, ShardReport] = {done.name: done for done in fresh}
    for shard in dataset.manifest.shards:
        path = dataset.folder / shard.path
        if path.name not in reports:
            reports[path.name] = previous_build.reread(dataset.folder, dataset.manifest, shard)
            _link(path, space.data / path.name)
    _refuse_losses(dataset, fresh)
    ordered = [reports[shard.name] for shard in decided.shards]
    planned = {row.id for row in decided.ledger if row.kind == "item"}
    rows = [
        *decided.ledger,
        *(row for row in lost.values() if row.id not in planned),
        *(row for done in fresh for row in done.ledger),
    ]
    manifest = documents.manifest(decided, ordered, rows)
    return rows, manifest.model_copy(update={"mirror": dataset.manifest.mirror})


def _refuse_losses(dataset: Dataset, fresh: Iterable[ShardReport]) -> None:
    """Raises UpstreamError where rows of the data set could not be read again."""
    lost: list[LedgerRow] = []
    for done in fresh:
        there = previous_build.takes_of(dataset.folder / DATA_FOLDER / done.name)
        lost += [row for row in done.ledger if row.kind == "item" and row.id in there]
    if lost:
        raise UpstreamError(
            f"{len(lost):,} row(s) of this data set could not be read again",
            where=dataset.folder,
            problems=[f"{row.id}: {row.reason} ({row.detail})" for row in lost],
            todo="run the same command again when the sources can be reached: the data set is unchanged",
        )


def _link(path: Path, link: Path) -> None:
    with writing(link.parent):
        link.unlink(missing_ok=True)
        try:
            os.link(path, link)
        except OSError:  # a file system without links
            shutil.copy2(path, link)
