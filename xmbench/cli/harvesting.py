"""Commands of the stage before a recipe: `harvest`, `agree`, `fit-annotator`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmbench.cli.engines import given_address
from xmbench.cli.tables import Progress, table
from xmbench.cli.terminal import print
from xmbench.errors import DocumentError, UpstreamError
from xmbench.execution.engine import Engine

if TYPE_CHECKING:
    from xmbench.formats.harvest import Harvest, HarvestSpec


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command("harvest")(harvest)
    app.command("agree")(agree)
    app.command("fit-annotator")(fit_annotator)


def harvest(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|LIST|DIR", help="A recipe with a harvest, a list of frames or videos, or a directory."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Directory of the candidate corpus.")],
    source: Annotated[
        Path | None, typer.Option(help="Directory with the media (default: that of the list, or DIR itself).")
    ] = None,
    annotators: Annotated[
        str | None, typer.Option(metavar="A,B", help="Names of annotators (`xmbench list annotators`).")
    ] = None,
    weights: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Weights of an annotator; #sha256=HEX checks them.")
    ] = None,
    frames_per_video: Annotated[int | None, typer.Option(min=1, max=1000, help="Parts of a video.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes (default: one per processor).")] = None,
    engine: Annotated[
        Engine, typer.Option(help="Processes on this machine, or a Ray cluster; the corpus is the same.")
    ] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="Address of the cluster (default: $RAY_ADDRESS, or a new one).")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the annotators compute: cpu or cuda.")] = "cpu",
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what failed for a temporary reason.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Reads and labels candidates for a data set; resumes an interrupted harvest."""
    from xmbench.execution.engine import Workers, available_workers
    from xmbench.harvester.harvest import Request
    from xmbench.harvester.harvest import harvest as harvest_candidates
    from xmbench.harvester.weights import parsed

    spec, root, listed = _request(what, source, annotators, frames_per_video)
    progress = Progress(interval_s=0)
    done = harvest_candidates(
        Request(spec, root, listed, parsed(weights or []), device, offline),
        out,
        workers=Workers(workers or available_workers(), engine, given_address(engine, ray_address)),
        again=retry,
        progress=progress.show,
    )
    progress.close()
    print(json.dumps(done.model_dump(mode="json", by_alias=True), indent=1) if as_json else _shown(done, out))


def _request(
    what: str, source: Path | None, annotators: str | None, frames_per_video: int | None
) -> tuple[HarvestSpec, Path, Path | None]:
    """What to harvest, the directory of the media, and the list where there is one."""
    from xmbench.builder.plan import load_recipe
    from xmbench.formats.harvest import HarvestSpec
    from xmbench.harvester.layouts import guessed

    path = Path(what)
    names = tuple(name.strip() for name in annotators.split(",") if name.strip()) if annotators else ()
    if path.is_dir() or (path.is_file() and path.suffix != ".toml"):
        listed = None if path.is_dir() else path
        root = source or (path if listed is None else _folder_of(path))
        if not names:
            raise DocumentError(
                "no annotators are named", where="--annotators", expected="like mobilenet-v2,esc10-sounds"
            )
        part = guessed(root, listed).model_copy(update={"frames_per_video": frames_per_video or 1})
        spec = HarvestSpec(annotators=names, candidates=(part,))
    else:
        recipe = load_recipe(what)
        if recipe.harvest is None:
            raise DocumentError("the recipe needs no harvest", where=what, todo=f"xmbench build {what}")
        if source is None:
            raise DocumentError("no directory with the media", where="--source", expected="--source DIR")
        root, listed, spec = source, None, recipe.harvest
        parts = spec.candidates
        if frames_per_video:
            parts = tuple(part.model_copy(update={"frames_per_video": frames_per_video}) for part in parts)
        spec = spec.model_copy(update={"candidates": parts, "annotators": names or spec.annotators})
    if not root.is_dir():
        raise UpstreamError("no such directory", where=root, todo="give the directory with the media: --source DIR")
    return spec, root, listed


def _folder_of(listed: Path) -> Path:
    """The directory that a list belongs to: SoundNet's are in its `lists`."""
    folder = listed.absolute().parent
    return folder.parent if folder.name == "lists" else folder


def _shown(done: Harvest, out: Path) -> str:
    tally = done.tally
    rows = [["ok", f"{tally.ok:,}", ""]]
    rows += [["filtered", f"{number:,}", reason] for reason, number in tally.filtered.items()]
    rows += [["failed", f"{number:,}", reason] for reason, number in tally.failed.items()]
    lines = [table(["status", "candidates", "reason"], rows), f"{tally.candidates:,} candidates"]
    if done.duplicates:
        lines.append(f"{done.duplicates:,} named twice, and used once")
    lines += [f"note: {note}" for note in done.notes]
    if tally.temporary:
        lines.append(f"{tally.temporary:,} failed for a temporary reason: run the same command with --retry")
    return "\n".join([*lines, f"harvested into {out}"])


def agree(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a finished harvest.")],
    recipe: Annotated[str, typer.Option(help="Recipe whose rule is used.")] = "soundnet-agree",
    classes: Annotated[int, typer.Option(min=1, help="The most frequent labels.")] = 52,
    toml: Annotated[bool, typer.Option("--toml", help="Print them as the tables of a recipe.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Counts the pairs on whose label the annotators of a harvest agree; the most frequent labels first."""
    from dataclasses import asdict

    from xmbench.builder.plan import load_recipe
    from xmbench.harvester.agree import agreements, as_toml

    chosen = load_recipe(recipe)
    found = agreements(folder, chosen)
    if as_json:
        print(json.dumps([asdict(one) for one in found[:classes]], indent=1))
        return
    if toml:
        print(as_toml(found[:classes], chosen))
        return
    rows = [
        [one.label, one.name[:50], f"{one.pairs:,}", ", ".join(f"{n:,} {why}" for why, n in one.left_out.items())]
        for one in found[:classes]
    ]
    print(table(["label", "name", "pairs", "left out"], rows))
    print(f"{sum(one.pairs for one in found):,} pairs agree, on {len(found):,} labels")


def fit_annotator(
    name: Annotated[str, typer.Argument(metavar="ANNOTATOR", help="Name of an annotator that can be fitted.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Directory with its training data.")],
    out: Annotated[Path, typer.Option(help="File of the weights; its card is written beside it.")],
) -> None:
    """Fits a small annotator to data of your own; prints how often it is right."""
    from xmbench.harvester.fitting import fit

    card = fit(name, folder, out)
    print(json.dumps(card, indent=1))
    print(f"wrote {out} and {out.with_suffix('.json')}")
