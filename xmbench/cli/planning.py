"""Commands before and after a build: `plan`, `retry`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmbench.cli.engines import given_address
from xmbench.cli.tables import Progress, table
from xmbench.cli.terminal import print
from xmbench.errors import DatasetError
from xmbench.execution.engine import Engine

if TYPE_CHECKING:
    from xmbench.builder.estimate import Estimate


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command("plan")(plan)
    app.command("retry")(retry)


def plan(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or path to its TOML file.")],
    source: Annotated[
        str | None, typer.Option(help="Directory with the upstream files, or hf:OWNER/NAME@REVISION.")
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(metavar="N|SPLIT=N", help="Items per split, stratified by class; or of some: test=2000."),
    ] = None,
    speech: Annotated[str | None, typer.Option(help="Speech engine instead of the recipe's.")] = None,
    accept_changed: Annotated[
        bool, typer.Option("--accept-changed-sources", help="Accept re-encoded or re-ordered upstream files.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Estimates a build without doing it: rows, bytes to download, disk, time, licences, what is missing."""
    from xmbench.builder.estimate import estimate
    from xmbench.builder.plan import load_recipe
    from xmbench.formats.limit import parse_limit
    from xmbench.hub.mirror import place_of

    chosen, limited = load_recipe(recipe), None if limit is None else parse_limit(limit)
    found = estimate(chosen, source=place_of(source), limit=limited, speech=speech, accept_changed=accept_changed)
    print(json.dumps(found.to_dict(), indent=1) if as_json else _shown(found))


def retry(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a data set.")],
    source: Annotated[str | None, typer.Option(help="Directory with the upstream files, as for the build.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes (default: one per processor).")] = None,
    engine: Annotated[
        Engine, typer.Option(help="Processes on this machine, or a Ray cluster; the data set is the same.")
    ] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="Address of the cluster (default: $RAY_ADDRESS, or a new one).")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
) -> None:
    """Tries the items again that failed for a temporary reason; changes nothing else."""
    from xmbench.builder.retry import retry as retry_failed
    from xmbench.formats.harvest import is_harvest
    from xmbench.hub.mirror import place_of

    if is_harvest(folder):
        what = "a harvest, which is tried again by its own command"
        raise DatasetError(what, where=folder, todo="run the same `xmbench harvest` with --retry")
    progress = Progress(interval_s=0)
    done = retry_failed(
        folder,
        source=place_of(source),
        workers=workers,
        engine=engine,
        ray_address=given_address(engine, ray_address),
        offline=offline,
        progress=progress.show,
    )
    progress.close()
    print(f"{done.due:,} item(s) to try again, {done.due - done.left:,} of them written, {done.left:,} left")
    print(f"{done.shards} shard(s) written again")
    print(f"digest {done.dataset.digest}")


def _shown(found: Estimate) -> str:
    rows = [f"{split} {'?' if number is None else f'{number:,}'}" for split, number in found.rows.items()]
    unknown = f", and {len(found.unknown_sizes)} file(s) of unknown size" if found.unknown_sizes else ""
    lines = [
        f"{found.recipe} {found.version}, data digest {found.data_digest}",
        f"rows      {', '.join(rows)}" + ("" if found.exact else " (as the recipe says: the files are not here yet)"),
        f"download  {found.download_bytes / 1e6:,.1f} MB at most{unknown}",
        f"disk      about {found.disk_bytes / 1e6:,.0f} MB with the downloads",
        f"time      about {found.seconds:,.0f} s, without the download",
    ]
    if found.takes is not None:
        lines.append(f"takes     {found.takes:,}, {found.takes_cached:,} of them in the cache")
    lines += [f"missing   {what}" for what in (*found.missing_programs, *found.missing_files)]
    lines += [f"note      {note}" for note in found.notes]
    cells = [[part.role, part.title, part.licence, "yes" if part.redistributable else "no"] for part in found.licences]
    return "\n".join([*lines, "", table(["source", "what", "licence", "redistributable"], cells)])
