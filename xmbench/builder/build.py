"""Recipe -> data set directory. After any interruption, the same command finishes the same data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xmbench.builder import card, documents, plan, previous_build, workspace
from xmbench.builder.plan import Plan, Request
from xmbench.builder.speech_override import override_speech
from xmbench.builder.upstream.fetch import Mirror, obtain
from xmbench.builder.upstream.verified import VerifiedFiles
from xmbench.builder.workspace import Workspace
from xmbench.errors import CheckError, DocumentError, UpstreamError
from xmbench.execution.engine import Engine, Workers, available_workers
from xmbench.execution.executor import check_engine
from xmbench.execution.progress import Progress, silent
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset, Manifest, open_dataset
from xmbench.formats.layout import CARD_FILE, LEDGER_FILE, MANIFEST_FILE, SORTED_LAYOUT, WORK_FOLDER
from xmbench.formats.limit import Limit, limit_name
from xmbench.formats.recipe import Recipe
from xmbench.storage.files import write_text, writing


def build(
    recipe: Recipe,
    out: Path,
    *,
    source: Path | Mirror | None = None,
    limit: Limit = None,
    seed: int | None = None,
    workers: int | None = None,
    engine: Engine = "local",
    ray_address: str = "",
    speech: str | None = None,
    offline: bool = False,
    accept_changed: bool = False,
    rebuild: bool = False,
    progress: Progress = silent,
) -> Dataset:
    """Builds a data set, or finishes one that was interrupted, or repairs one whose shards are damaged.

    Args:
        recipe: what to build.
        out: directory of the data set; created if missing.
        source: take the upstream files from this directory, or from a mirror (`xmbench.hub.mirror.HubMirror`),
            instead of the recipe's addresses.
        limit: items per split, stratified by class, or `SplitLimits` for some splits, stratified by class and
            speaker; None for all.
        seed: of splits and pairing, instead of the recipe's.
        workers: processes; None for one per processor. The result does not depend on it.
        engine: "local" for processes of this machine, "ray" for a Ray cluster that sees this machine's directories.
        ray_address: of the cluster; "" for $RAY_ADDRESS, or a cluster of this machine alone.
        speech: name of the engine that speaks, instead of the recipe's: that is another recipe, with its
            own digest.
        offline: use only upstream files that were fetched before, and no online speech engine.
        accept_changed: take files of a `source` directory that are not the published ones; manifest and card say so.
        rebuild: remove an earlier build in `out` and start over.
        progress: called with one line of progress at a time.

    Returns:
        The finished data set.

    Raises:
        PrerequisiteError: Ray is not installed, or there is no cluster at the address.
        UpstreamError: upstream files are missing, wrong or unreachable.
        UnknownNameError, DocumentError: the recipe names something unknown.
        DatasetError: `out` belongs to another build.
        OutputError: `out` cannot be written, another process is working in it, or the disk is full.
        CheckError: the ledger does not balance, no row was written, or a repaired shard differs.
    """
    recipe, chosen = override_speech(recipe, speech) if speech else (recipe, "")
    request = Request(recipe, limit, seed, chosen)
    place = check(request, source)
    check_engine(engine, ray_address)
    if engine == "ray":  # its workers have another working directory
        out, place = out.absolute(), place.absolute() if isinstance(place, Path) else place
    if not rebuild and _is_complete(out, request):
        progress(f"{out}: already built")
        return _updated(out, recipe, progress)
    with workspace.opened(out) as space:
        _prepare(space, request, rebuild)
        files = obtain(recipe, place, offline=offline, progress=progress, accept_changed=accept_changed)
        where = Workers(workers or available_workers(), engine, ray_address)
        _write(space, request, files, place, offline, where, progress)
    return open_dataset(out)


def _prepare(space: Workspace, request: Request, rebuild: bool) -> None:
    """Finishes an interrupted replacement; removes the earlier build, or refuses one of another request."""
    space.finish_replacing()
    if rebuild:
        workspace.remove_build(space)
    else:
        workspace.refuse_foreign(space.folder)
        workspace.refuse_started_by_other(space.folder, request.identity())


def _write(
    space: Workspace,
    request: Request,
    files: Mapping[str, VerifiedFiles],
    place: Path | Mirror | None,
    offline: bool,
    workers: Workers,
    progress: Progress,
) -> None:
    """Plans the data set and writes what is missing of it."""
    before = workspace.manifest_of(space.folder)
    known = previous_build.clips(space.folder, before, space.clips, again=False) if before else None
    for role, record in before.sources.items() if before else ():
        files[role].links.keep_to(record.fetched)  # a repair has the recordings that the build had
    layout = before.layout if before else SORTED_LAYOUT
    decided = plan.make(request, files, space.clips, progress, known, offline, layout)
    space.claim(decided.identity, [shard.name for shard in decided.shards])
    if before is None:
        _first(space, decided, place, workers, progress)
    else:
        _repair(space, decided, before, workers, progress)


def check(request: Request, source: Path | Mirror | None) -> Path | Mirror | None:
    """Checks a request before any work; returns where the upstream files are."""
    if isinstance(request.limit, int) and request.limit < 1:
        raise DocumentError(f"the limit is {request.limit}", where="--limit", expected="1 or more items per split")
    plan.check(request.recipe)
    if source is None:
        return None
    if not isinstance(source, Path):
        return source
    if not source.is_dir():
        raise UpstreamError(
            "no such directory",
            where=source,
            expected="--source DIR: a local directory with the upstream files, or --source hf:OWNER/NAME@REVISION",
        )
    return source


def _is_complete(out: Path, request: Request) -> bool:
    """Whether the directory holds exactly this data set, with all its files.

    Raises:
        DatasetError: it holds another one.
    """
    manifest = workspace.manifest_of(out)
    if manifest is None:
        return False
    there = {
        "recipe": manifest.recipe.name,
        "data digest": manifest.data_digest,
        "limit": limit_name(manifest.limit),
        "seed": str(manifest.seed),
        "speech": manifest.speech or "as the recipe says",
    }
    workspace.refuse_other(out, there, request.identity())
    documents = (out / CARD_FILE).is_file() and workspace.readable(out / LEDGER_FILE)
    unfinished = (out / WORK_FOLDER).exists()
    return documents and not unfinished and not workspace.damaged_shards(out, manifest)


def _updated(out: Path, recipe: Recipe, progress: Progress) -> Dataset:
    """A finished data set, its documents updated where the recipe's prose or tracks have changed."""
    dataset = open_dataset(out)
    if dataset.recipe == recipe:
        return dataset
    with workspace.opened(out) as space:
        after = Dataset(out, documents.with_recipe(dataset.manifest, recipe))
        write_text(space.work / CARD_FILE, card.render(after, card.attributes_of(after)))
        write_text(space.work / MANIFEST_FILE, after.manifest.to_json())
        space.publish_documents()
    progress(f"{out}: manifest and card updated from the recipe; no row has changed")
    return open_dataset(out)


# ------------------------------------------------------------------------------------------- first build
def _first(space: Workspace, decided: Plan, place: Path | Mirror | None, workers: Workers, progress: Progress) -> None:
    """Writes the missing parts of a new data set and moves it into place."""
    reports = documents.shards(space, decided, [shard.name for shard in decided.shards], workers, progress)
    rows = [*decided.ledger, *(row for done in reports for row in done.ledger)]
    manifest = documents.manifest(decided, reports, rows)
    if place is not None and not isinstance(place, Path):
        manifest = manifest.model_copy(update={"mirror": place.origin})
    documents.documents(space, Dataset(space.work, manifest), decided.attributes, rows)
    space.publish_data()
    space.publish_documents()
    progress(f"{space.folder}: {sum(len(done.rows) for done in reports):,} rows, digest {manifest.dataset_digest}")


# -------------------------------------------------------------------------------------------- repairing
def _repair(space: Workspace, decided: Plan, before: Manifest, workers: Workers, progress: Progress) -> None:
    """Rewrites the shards of a finished data set that are missing or wrong.

    Raises:
        CheckError: the new content of a shard is not what the manifest says.
    """
    no_ledger = not workspace.readable(space.folder / LEDGER_FILE)
    if not no_ledger:  # failed items stay failed: `retry` is for those
        decided = previous_build.without(decided, previous_build.lost_items(space.folder))
    names = [Path(shard.path).name for shard in before.shards]
    if not no_ledger:
        names = workspace.damaged_shards(space.folder, before)
    if names:
        progress(f"{space.folder}: {len(names)} shard(s) to rewrite")
    there = {shard.name for shard in decided.shards}
    _refuse_different(space, before, [f"{name}: not a shard of this version" for name in names if name not in there])
    reports = documents.shards(space, decided, names, workers, progress)
    records = {record.path: record for record in map(documents.record, reports)}
    different = [shard for shard in before.shards if records.get(shard.path, shard).digest != shard.digest]
    problems = [f"{s.path}: content {records[s.path].digest}, the manifest says {s.digest}" for s in different]
    _refuse_different(space, before, problems)
    rows = [*decided.ledger, *(row for done in reports for row in done.ledger)]
    shards = tuple(records.get(shard.path, shard) for shard in before.shards)
    updated = documents.with_recipe(before, decided.request.recipe)
    after = Dataset(space.folder, updated.model_copy(update={"shards": shards}))
    space.publish_shards(names)
    if no_ledger:
        with writing(space.folder):
            ledger.write(space.work / LEDGER_FILE, rows)
    write_text(space.work / CARD_FILE, card.render(after, card.attributes_of(after)))
    write_text(space.work / MANIFEST_FILE, after.manifest.to_json())
    space.publish_documents()


def _refuse_different(space: Workspace, before: Manifest, problems: list[str]) -> None:
    """Raises CheckError where rewritten shards differ from the recorded ones."""
    if problems:
        raise CheckError(
            "the rewritten shards are not the recorded ones",
            where=space.folder,
            problems=problems,
            expected="the same sources and versions: " + _versions(before),
            todo="install those versions, or start over with --rebuild",
        )


def _versions(manifest: Manifest) -> str:
    found = [f"{name} {v}" for record in manifest.sources.values() for name, v in record.versions.items()]
    return ", ".join([f"xmbench {manifest.xmbench_version}", *found])
