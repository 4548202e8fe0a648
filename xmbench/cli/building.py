"""Commands of the building stage."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmbench.cli.engines import given_address
from xmbench.cli.tables import Progress, table
from xmbench.cli.terminal import print
from xmbench.errors import MAX_LISTED, CheckError, UnknownNameError, nearest
from xmbench.execution.engine import Engine

if TYPE_CHECKING:
    from xmbench.formats.dataset import Dataset


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command("list")(list_items)
    app.command("build")(build)
    app.command("validate")(validate)


def list_items(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", help="One of recipes, baselines, metrics, tracks, sources, engines, annotators."
        ),
    ] = "recipes",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Lists recipes, baselines, metrics, tracks, sources, engines or annotators."""
    from xmbench import catalogue

    chosen = next((name for name in catalogue.KINDS if name == kind), None)
    if chosen is None:
        raise UnknownNameError(f"nothing to list is called '{kind}'", expected=nearest(kind, catalogue.KINDS))
    rows = catalogue.rows(chosen)
    print(json.dumps(rows, indent=1) if as_json else _shown(rows))


def build(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, or path to its TOML file.")],
    out: Annotated[Path | None, typer.Option(help="Directory to build into (default: data/RECIPE).")] = None,
    source: Annotated[
        str | None, typer.Option(help="Directory with the upstream files, or hf:OWNER/NAME@REVISION.")
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(metavar="N|SPLIT=N", help="Items per split, stratified by class; or of some: test=2000."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of splits and pairing (default: the recipe's).")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes (default: one per processor).")] = None,
    engine: Annotated[
        Engine, typer.Option(help="Processes on this machine, or a Ray cluster; the data set is the same.")
    ] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="Address of the cluster (default: $RAY_ADDRESS, or a new one).")
    ] = None,
    speech: Annotated[
        str | None, typer.Option(help="Speech engine instead of the recipe's; gives another data set.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    accept_changed: Annotated[
        bool, typer.Option("--accept-changed-sources", help="Accept re-encoded or re-ordered upstream files.")
    ] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Remove an earlier build and start over.")] = False,
) -> None:
    """Builds a data set; resumes an interrupted build."""
    from xmbench.builder.build import build as build_dataset
    from xmbench.builder.plan import load_recipe
    from xmbench.formats.limit import parse_limit
    from xmbench.hub.mirror import place_of

    chosen = load_recipe(recipe)
    folder = out or Path("data") / chosen.name
    progress = Progress(interval_s=0)
    dataset = build_dataset(
        chosen,
        folder,
        source=place_of(source),
        limit=None if limit is None else parse_limit(limit),
        seed=seed,
        workers=workers,
        engine=engine,
        ray_address=given_address(engine, ray_address),
        speech=speech,
        offline=offline,
        accept_changed=accept_changed,
        rebuild=rebuild,
        progress=progress.show,
    )
    progress.close()
    _print_built(dataset, folder)


def _print_built(dataset: Dataset, folder: Path) -> None:
    """What `build` prints: counts, failures to retry, the digest, where."""
    from xmbench.builder.previous_build import temporary_failures

    for split, record in dataset.manifest.splits.items():
        counts = record.counts
        rest = f", {sum(counts.filtered.values()):,} filtered, {sum(counts.failed.values()):,} failed"
        print(f"{split}: {counts.planned:,} planned, {counts.written:,} written{rest}")
    items, takes = temporary_failures(dataset), temporary_failures(dataset, "take")
    if items or takes:
        what = f"{items:,} item(s)" if items else f"{takes:,} clip(s) or recording(s)"
        print(f"{what} failed for a temporary reason: xmbench retry {folder}")
    print(f"digest {dataset.digest}")
    print(f"built {dataset.recipe.name} in {folder}")


def validate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a data set.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Checks every item and document of a data set; lists all problems."""
    from xmbench.inspection.validate import open_unchecked
    from xmbench.inspection.validate import validate as validate_dataset

    progress = Progress(interval_s=0)
    found = validate_dataset(open_unchecked(folder), progress.show)
    progress.close()
    if as_json:
        print(json.dumps(found.to_dict(), indent=1))
    else:
        for split, rows in found.rows.items():
            print(f"{split}: {rows:,} rows, {found.takes[split]:,} takes")
        for note in found.notes:
            print(f"note: {note}")
        print(f"digest {found.digest}")
    if not found.holds:
        sys.stdout.flush()
        for line in [] if as_json else found.found.shown(per_kind=MAX_LISTED // 2):
            print(f"  - {line}", file=sys.stderr)
        raise CheckError(
            f"{found.found.counts.total():,} problem(s) in this data set",
            where=folder,
            todo="run the same `xmbench build` again, or with --rebuild; --json lists more of each kind",
        )
    if not as_json:
        print(f"{folder}: no problems")


def _shown(rows: list[dict[str, str]]) -> str:
    return table(list(rows[0]), [list(row.values()) for row in rows]) if rows else "(none)"
