"""Commands of the running stage."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from xmbench.cli.tables import Lines, table
from xmbench.cli.terminal import print
from xmbench.errors import CheckError, DocumentError
from xmbench.formats.extremes import toml_of
from xmbench.printable import visible

if TYPE_CHECKING:
    from xmbench.formats.baseline import Baseline
    from xmbench.formats.dataset import Dataset
    from xmbench.runner import RunSummary, Written


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command("run-baseline")(run_baseline)


def run_baseline(
    name: Annotated[str, typer.Argument(metavar="BASELINE", help="Name of a baseline, or path to its TOML file.")],
    data: Annotated[Path, typer.Option(help="Directory of a data set.")],
    out: Annotated[
        Path | None, typer.Option(help="Directory of the run (default: runs/RECIPE/BASELINE[-PRESET ...]).")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Variant of the baseline, or several: lite,gen-only. `lite` suits a CPU.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to train and generate.")] = "auto",
    seed: Annotated[int | None, typer.Option(help="Seed instead of the baseline's.")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="0,1,2", help="Several seeds, a directory for each: OUT/seed-0 ... A learned row needs three."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated. threads=2: of a CPU."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume a run; of a finished one, generate again.")] = False,
    time_limit: Annotated[
        str | None,
        typer.Option(
            metavar="8m", help="Stop after 8m, 90s or 1h30m with a checkpoint and exit code 3; --resume continues."
        ),
    ] = None,
    shuffle_conditions: Annotated[
        bool, typer.Option("--shuffle-conditions", help="Control: generate each item from another item's condition.")
    ] = False,
    outputs: Annotated[
        Literal["wav", "flac"], typer.Option(help="Files of sounds; flac is smaller, and exact.")
    ] = "wav",
    max_file: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Divide the outputs among files of at most this size, like 15MiB."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Score, and compare with the baseline's expected scores.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option("--record", help="Score three seeds or more; write expected scores into the baseline's file."),
    ] = False,
) -> None:
    """Trains a baseline on a data set and writes a submission, or one per seed."""
    # Read by OpenMP when PyTorch is imported: threads that wait without spinning. Measured on 2 cores: a step of
    # 99 ms takes 126 ms on free cores, but 325 ms instead of 1,302 ms when other programs run.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from xmbench import content, runner
    from xmbench.formats.baseline import Baseline, names_of
    from xmbench.formats.dataset import open_dataset
    from xmbench.formats.document import load_toml
    from xmbench.storage.sizes import parse_size

    if seed is not None and seeds is not None:
        raise typer.BadParameter("give --seed or --seeds, not both", param_hint="--seeds")
    chosen = None if seeds is None else runner.parse_seeds(seeds)
    time_limit_s = None if time_limit is None else runner.parse_duration(time_limit)
    overrides = parse_settings(settings or [])
    form = runner.OutputForm(outputs, None if max_file is None else parse_size(max_file, "--max-file"))
    file = content.find("baselines", name)
    baseline = load_toml(file, Baseline)
    preset = runner.canonical(baseline, preset)
    dataset = open_dataset(data)
    if record and verify:
        raise typer.BadParameter("give --verify or --record, not both", param_hint="--record")
    if record:
        runner.require_recordable(file, chosen, bool(overrides) or shuffle_conditions)
    if verify:  # before minutes of training
        for direction in baseline.directions:
            runner.expected(baseline, dataset.recipe.track_id(direction), preset)
    folder = out or Path("runs") / dataset.recipe.name / "-".join([baseline.name, *names_of(preset)])
    print(f"{baseline.name} on {dataset.recipe.name}: running in {folder}", flush=True)
    options: dict[str, Any] = {
        "preset": preset,
        "device": device,
        "overrides": overrides,
        "form": form,
        "resume": resume,
        "shuffle_conditions": shuffle_conditions,
        "time_limit_s": time_limit_s,
    }
    with Lines() as lines:
        options |= {"progress": lines.add, "status": lines.status}
        if chosen is None:
            summaries = [runner.run(baseline, dataset, folder, seed=seed, **options)]
        else:
            summaries = runner.run_seeds(baseline, dataset, folder, chosen, **options)
    _print(summaries, chosen)
    every = [written for summary in summaries for written in summary.written]
    if verify:
        _verify(baseline, preset, every, dataset)
    if record and chosen is not None:
        _record(file, baseline, preset, dict(zip(chosen, summaries, strict=True)), dataset)
    for written in every:
        print(f"next: xmbench score {written.submission} --data {data}")


def _print(summaries: Sequence[RunSummary], seeds: Sequence[int] | None) -> None:
    """One run in lines, several seeds as a table."""
    for system in dict.fromkeys(written.system for written in summaries[0].written):
        print(f"system: {system}")
    if seeds is None:
        for written in summaries[0].written:
            _print_one(written)
        return
    rows = []
    for seed, summary in zip(seeds, summaries, strict=True):
        for written in summary.written:
            made, trained = written.generation, f"{summary.training_seconds:.1f} s"
            own = "" if made.head_accuracy is None else f"{made.head_accuracy:.4f}"
            rows.append([str(seed), trained, str(made.items), own, str(written.submission)])
    print(table(["seed", "training", "outputs", "own classifier", "in"], rows))


def _print_one(written: Written) -> None:
    print(f"outputs: {written.generation.items} in {written.submission}")
    if written.generation.head_accuracy is not None:
        print(f"its own classifier on these items: {written.generation.head_accuracy:.4f} (a diagnostic, not a score)")


def _verify(baseline: Baseline, preset: str | None, every: Sequence[Written], dataset: Dataset) -> None:
    """Each submission must reach the expected scores; those that do not are all named."""
    from xmbench import runner

    problems = []
    for written in every:
        wanted = runner.expected(baseline, written.track, preset)
        metrics = [item.metric for item in wanted if item.metric != runner.HEAD_ACCURACY]
        scores = runner.diagnosed(written, scores_of(written.submission, dataset, metrics) if metrics else {})
        for item in wanted:
            print(f"{item.metric}: {scores.get(item.metric)}, expected {item.value} +- {item.tolerance}")
        where = f"{written.submission}: " if len(every) > 1 else ""
        problems += [f"{where}{missed}" for missed in runner.unmet(wanted, scores)]
    if problems:
        raise CheckError("the run does not reach its expected scores", where=every[0].submission, problems=problems)
    print("the expected scores are reached")


def _record(
    file: Path, baseline: Baseline, preset: str | None, summaries: Mapping[int, RunSummary], dataset: Dataset
) -> None:
    """Scores the submissions of all seeds, and writes what a rerun must reach into the baseline's file."""
    from xmbench import runner

    recorded = []
    for number, direction in enumerate(baseline.directions):
        metrics = runner.metrics_to_record(baseline, dataset, direction, preset)
        found = {}
        for seed, summary in summaries.items():
            written = summary.written[number]
            found[seed] = runner.diagnosed(written, scores_of(written.submission, dataset, metrics))
        track = dataset.recipe.track_id(direction)
        recorded += runner.expectations(dataset, track, preset, found)
    runner.record(file, recorded)
    for item in recorded:
        print(f"{item.track} {item.metric}: {item.value} +- {item.tolerance} ({item.note})")
    print(f"recorded in {file}")


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
    """Scores of a submission in some metrics; the result is written next to it."""
    from xmbench.evaluator.save import score_and_save

    scored = score_and_save(
        submission,
        dataset,
        submission.parent / f"{submission.name}.result.json",
        metrics=metrics,
        workers=os.cpu_count() or 1,
    )
    return {name: score.value for name, score in scored.result.scores.items()}
