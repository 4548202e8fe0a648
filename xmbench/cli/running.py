"""Commands of the running stage."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from xmbench.cli.terminal import print
from xmbench.errors import CheckError, DocumentError
from xmbench.formats.extremes import toml_of
from xmbench.signs import visible

if TYPE_CHECKING:
    from xmbench.formats.baseline import Baseline
    from xmbench.formats.dataset import Dataset
    from xmbench.runner import RunSummary


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command("run-baseline")(run_baseline)


def run_baseline(
    name: Annotated[str, typer.Argument(metavar="BASELINE", help="name of a baseline, or path to its TOML file")],
    data: Annotated[Path, typer.Option(help="data set folder")],
    out: Annotated[Path | None, typer.Option(help="folder of the run (default: runs/RECIPE/BASELINE[-PRESET])")] = None,
    preset: Annotated[str | None, typer.Option(help="variant of the baseline; `lite` suits a CPU")] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="where to train and generate")] = "auto",
    seed: Annotated[int | None, typer.Option(help="instead of the baseline's")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="change a setting")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with a run; regenerate a finished one")] = False,
    shuffle_conditions: Annotated[
        bool, typer.Option("--shuffle-conditions", help="control: each item from another item's condition")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="compare with the baseline's expected scores")] = False,
) -> None:
    """Trains a baseline on a data set and writes a submission."""
    # Read by OpenMP when PyTorch is imported: threads that wait without spinning. Measured on 2 cores: a step of
    # 99 ms takes 126 ms on free cores, but 325 ms instead of 1,302 ms when other programs run.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from xmbench import content, runner
    from xmbench.formats.baseline import Baseline
    from xmbench.formats.dataset import open_dataset
    from xmbench.formats.document import load_toml

    overrides = parse_settings(settings or [])
    baseline = load_toml(content.find("baselines", name), Baseline)
    dataset = open_dataset(data)
    if verify:  # before minutes of training
        runner.expected(baseline, dataset.recipe.track_id(baseline.direction), preset)
    folder = out or Path("runs") / dataset.recipe.name / "-".join(filter(None, [baseline.name, preset]))
    print(f"{baseline.name} on {dataset.recipe.name}: running in {folder}", flush=True)
    summary = runner.run(
        baseline,
        dataset,
        folder,
        preset=preset,
        device=device,
        seed=seed,
        overrides=overrides,
        resume=resume,
        shuffle_conditions=shuffle_conditions,
        progress=lambda line: print(line, flush=True),
    )
    print(f"system: {summary.system}")
    print(f"outputs: {summary.generation.items} in {summary.submission}")
    if summary.generation.head_accuracy is not None:
        print(f"its own classifier on these items: {summary.generation.head_accuracy:.4f} (a diagnosis, no score)")
    if verify:
        _verify(baseline, preset, summary, dataset)
    print(f"next: xmbench score {summary.submission} --data {data}")


def _verify(baseline: Baseline, preset: str | None, summary: RunSummary, dataset: Dataset) -> None:
    from xmbench import runner

    wanted = runner.expected(baseline, summary.track, preset)
    scores = scores_of(summary.submission, dataset, [item.metric for item in wanted])
    missed = runner.unmet(wanted, scores)
    for item in wanted:
        print(f"{item.metric}: {scores.get(item.metric)}, expected {item.value} +- {item.tolerance}")
    if missed:
        raise CheckError("the run does not reach its expected scores", where=summary.submission, problems=missed)
    print("expected scores: reached")


def parse_settings(lines: list[str]) -> dict[str, Any]:
    """Reads `key=value` settings; values are TOML, a bare word is text.

    Raises:
        DocumentError: a line without a key or a value; all of them are listed.
    """
    found: dict[str, Any] = {}
    problems = []
    for line in lines:
        key, equals, text = (part.strip() for part in line.partition("="))
        if not (key.isidentifier() and equals and text):
            problems.append(line)
            continue
        try:
            found[key] = toml_of(f"value = {text}".encode())["value"]
        except (ValueError, RecursionError):
            found[key] = visible(text)
    if problems:
        raise DocumentError("--set needs KEY=VALUE", problems=problems, expected="like --set joint_lr=1e-4")
    return found


def scores_of(submission: Path, dataset: Dataset, metrics: Sequence[str]) -> dict[str, float | None]:
    """Scores of a submission in some metrics; the result is written beside it."""
    from xmbench.evaluator.save import score_and_save

    scored = score_and_save(
        submission,
        dataset,
        submission.parent / f"{submission.name}.result.json",
        metrics=metrics,
        workers=os.cpu_count() or 1,
    )
    return {name: score.value for name, score in scored.result.scores.items()}
