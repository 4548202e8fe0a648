"""Shards, manifest, card and ledger of a decided plan, written into the work directory of a build."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import version

from xmbench.builder import card, shard_writer
from xmbench.builder.plan import Plan
from xmbench.builder.shard_writer import ShardReport, ShardTask
from xmbench.builder.workspace import Workspace
from xmbench.errors import CheckError
from xmbench.execution.engine import Workers
from xmbench.execution.executor import run_tasks
from xmbench.execution.progress import Progress
from xmbench.formats import ledger
from xmbench.formats.columns import row_bytes
from xmbench.formats.dataset import Counts, Dataset, Manifest, ShardRecord, SplitRecord, dataset_digest
from xmbench.formats.layout import CARD_FILE, DATA_FOLDER, LEDGER_FILE, MANIFEST_FILE, SPLITS
from xmbench.formats.recipe import Recipe
from xmbench.interfaces import AttributeTypes
from xmbench.storage.files import write_text, writing

POOL_FROM_ROWS = 5_000  # starting processes takes longer than writing fewer rows ...
POOL_FROM_BYTES = 200_000_000  # ... of fewer pixels and samples
_TOOLS = ("numpy", "pillow", "pyarrow", "soxr")


def shards(
    space: Workspace, decided: Plan, names: Sequence[str], workers: Workers, progress: Progress
) -> list[ShardReport]:
    """Reports of the named shards: reused from an earlier try, or written now."""
    wanted = {shard.name: decided.shard_digest(shard) for shard in decided.shards if shard.name in names}
    kept = {}
    for name in names:
        done = shard_writer.read_report(space.reports, name)
        path = space.data / name
        if done and done.plan == wanted[name] and path.is_file() and path.stat().st_size == done.bytes:
            kept[name] = done
    if kept:
        progress(f"resuming an earlier build: {len(kept)} of {len(names)} shards are finished")
    tasks = [
        ShardTask(shard, decided.takes_of(shard), wanted[shard.name])
        for shard in decided.shards
        if shard.name in names and shard.name not in kept
    ]
    total = sum(len(task.shard.items) for task in tasks)
    progress(f"writing {total:,} rows in {len(tasks)} shards")
    job = shard_writer.job(decided, space.clips, space.data, space.reports)
    few = total < POOL_FROM_ROWS and total * row_bytes(decided.request.recipe) < POOL_FROM_BYTES
    here = workers.engine == "local" and few
    running = run_tasks(
        shard_writer.write_shard,
        tasks,
        shared=job,
        engine=workers.engine,
        workers=1 if here else min(workers.count, len(tasks)),
        address=workers.address,
        ordered=False,
    )
    fresh: dict[str, ShardReport] = {}
    with closing(running):
        for done in running:
            fresh[done.name] = done
            progress(f"  {done.name}: {sum(len(other.rows) for other in fresh.values()):,} of {total:,} rows")
    return [kept.get(name) or fresh[name] for name in names]


def manifest(decided: Plan, reports: Sequence[ShardReport], rows: Sequence[ledger.LedgerRow]) -> Manifest:
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
        details = {f"{row.stage}: {row.reason}": row.detail for row in reversed(rows) if row.kind == "item"}
        lasting = any(row.kind == "item" and not row.temporary for row in rows)
        raise CheckError(
            "no item became a row",
            problems=[f"{number:,} x {reason} ({details[reason]})" for reason, number in reasons.items()],
            todo="change the recipe's durations, voices or classes" if lasting else "run the same command again later",
        )
    digests = [(done.split, name, digest) for done in reports for name, digest in done.rows]
    return Manifest(
        recipe=request.recipe,
        recipe_digest=request.recipe.digest,
        data_digest=request.recipe.data_digest,
        dataset_digest=dataset_digest(digests),
        limit=request.limit,
        seed=request.pairing_seed,
        speech=request.speech,
        layout=decided.layout,
        xmbench_version=version("xmbench"),
        tools={"python": platform.python_version(), **{name: version(name) for name in _TOOLS}},
        sources=dict(decided.sources),
        splits={name: _split(name, counts, reports) for name in SPLITS},
        shards=tuple(record(done) for done in reports),
    )


def with_recipe(before: Manifest, recipe: Recipe) -> Manifest:
    """A manifest with a recipe of the same rows and other prose, licences or tracks."""
    sources = {
        role: record.model_copy(
            update={"licence": recipe.sources[role].licence, "redistributable": recipe.sources[role].redistributable}
        )
        for role, record in before.sources.items()
    }
    digests = {"recipe_digest": recipe.digest, "data_digest": recipe.data_digest}
    return before.model_copy(update={"recipe": recipe, "sources": sources, **digests})


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


def record(done: ShardReport) -> ShardRecord:
    return ShardRecord(
        path=f"{DATA_FOLDER}/{done.name}",
        split=done.split,
        rows=len(done.rows),
        bytes=done.bytes,
        digest=shard_writer.shard_digest(done),
    )


def documents(space: Workspace, dataset: Dataset, attributes: AttributeTypes, rows: Sequence[ledger.LedgerRow]) -> None:
    """Writes card, ledger and manifest into the work directory."""
    with writing(space.folder):
        ledger.write(space.work / LEDGER_FILE, rows)
    write_text(space.work / CARD_FILE, card.render(dataset, attributes))
    write_text(space.work / MANIFEST_FILE, dataset.manifest.to_json())
