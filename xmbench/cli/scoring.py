"""Commands of the scoring stage: `check`, `score`, `pair`; `fit-judge` is in `judge_fitting`."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmbench.cli import judge_fitting
from xmbench.cli.engines import given_address
from xmbench.cli.tables import Progress, table
from xmbench.cli.terminal import print
from xmbench.errors import MAX_LISTED, CheckError, OutputError
from xmbench.execution.engine import Engine
from xmbench.printable import shown
from xmbench.storage.files import output_file

if TYPE_CHECKING:
    from xmbench.evaluator.evaluate import Scored

Submission = Annotated[
    Path, typer.Argument(metavar="SUBMISSION", help="Directory with submission.json and its outputs.")
]
Data = Annotated[Path | None, typer.Option("--data", help="The data set (default: found by its digest).")]


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    app.command()(check)
    app.command()(score)
    app.command()(pair)
    judge_fitting.register(app)


def check(
    submission: Submission,
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Lists every problem of a submission in seconds: ids, format, rate, length, size, silence, NaN, duplicates."""
    from xmbench.evaluator.check import check as run
    from xmbench.evaluator.find import open_for

    found = run(*open_for(submission, data))
    if as_json:
        print(
            json.dumps(
                {
                    "track": found.track,
                    "items": found.items,
                    "problems": [asdict(problem) for problem in found.problems],
                    "notes": [asdict(note) for note in found.notes],
                }
            )
        )
    else:
        _list(found.problems, "problems")
        _list(found.notes, "notes")
        print(f"{found.track}: {found.items} items, {len(found.problems)} problems, {len(found.notes)} notes")
    if found.problems:
        raise typer.Exit(1)


def score(
    submission: Submission,
    data: Data = None,
    out: Annotated[Path | None, typer.Option(help="The result (default: result.json next to the submission).")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    metrics: Annotated[str | None, typer.Option(help="Only these metrics, separated by commas.")] = None,
    local_judge: Annotated[bool, typer.Option("--local-judge", help="Use the judge that `fit-judge` made.")] = False,
    judge_device: Annotated[
        str,
        typer.Option(
            help="Where judges compute: cpu, which defines the scores, or cuda, where last digits may differ."
        ),
    ] = "cpu",
    engine: Annotated[
        Engine, typer.Option(help="Processes on this machine, or a Ray cluster; the numbers are the same.")
    ] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="Address of the cluster (default: $RAY_ADDRESS, or a new one).")
    ] = None,
) -> None:
    """Scores a submission: prints a table, writes the result and the per-item table.

    The same command resumes a run that was interrupted.
    Exit code 1: the submission has problems; they are listed, and failed items count as the lower bound.
    """
    from xmbench.evaluator.check import Severity
    from xmbench.evaluator.find import open_for
    from xmbench.evaluator.save import score_and_save

    opened, dataset = open_for(submission, data)
    progress = Progress()
    target = out or submission.parent / "result.json"
    chosen = [name.strip() for name in (metrics or "").split(",") if name.strip()]
    if metrics is not None and not chosen:
        raise typer.BadParameter("no metric named", param_hint="--metrics")
    address = given_address(engine, ray_address)
    _require_replaceable(target)
    scored = score_and_save(
        opened,
        dataset,
        target,
        metrics=chosen,
        workers=workers,
        local_judge=local_judge,
        judge_device=judge_device,
        command=shlex.join(["xmbench", *sys.argv[1:]]),
        progress=lambda done, seen: progress.show(f"scored {seen} items ({done} distinct)"),
        engine=engine,
        ray_address=address,
    )
    progress.close()
    _print_scored(scored, target)
    if any(problem.severity is Severity.error for problem in scored.problems):
        raise typer.Exit(1)


def pair(
    reference: Annotated[
        Path | None, typer.Argument(metavar="REFERENCE", help="Reference, a wav or flac file.")
    ] = None,
    output: Annotated[Path | None, typer.Argument(metavar="OUTPUT", help="Output, a wav or flac file.")] = None,
    pairs: Annotated[
        Path | None, typer.Option("--list", help="CSV file of pairs, with the columns id,reference,output.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per pair.")] = False,
) -> None:
    """Scores single pairs of sound files with the reference-based speech metrics, at any sample rate."""
    from xmbench.evaluator.pair import score_files, score_listed
    from xmbench.evaluator.pair_list import Job, read_list

    if (pairs is None) == (reference is None or output is None):
        raise typer.BadParameter("give REFERENCE and OUTPUT, or --list pairs.csv")
    jobs = read_list(pairs) if pairs else [Job("", Path(str(reference)), Path(str(output)))]
    unusable = []
    for job in jobs:
        if pairs or job.reference is None or job.output is None:
            found = score_listed(job.reference, job.output, job.fault)
        else:
            found = score_files(job.reference, job.output)
        unusable += [f"{shown(job.id)}: {shown(found['detail'], 500)}"] if "detail" in found else []
        if as_json:
            print(json.dumps({"id": job.id or (job.output.stem if job.output else ""), **found}))
            continue
        line = f"{job.output} against {job.reference}" if job.output and job.reference else job.fault
        print(f"{shown(line, 5000)}: {found['status']}")
        numbers = {key: value for key, value in found.items() if isinstance(value, float) or value is None}
        print("\n".join(f"  {key:14} {'–' if value is None else f'{value:.4f}'}" for key, value in numbers.items()))
    if unusable:
        sys.stdout.flush()
        raise CheckError(
            f"{len(unusable)} of {len(jobs)} pairs hold a file that cannot be used", where=pairs, problems=unusable
        )


def _print_scored(scored: Scored, target: Path) -> None:
    if scored.resumed:
        print(f"{scored.resumed} distinct pairs were taken from an interrupted run")
    print(render(scored))
    print(f"\nwrote {target} and {target.with_suffix('.items.parquet')}")
    if scored.problems:
        print(f"\nthe submission has {len(scored.problems)} problems:", file=sys.stderr)
        _list(scored.problems, "problems", sys.stderr)


def render(scored: Scored) -> str:
    """The table that `score` prints."""
    result = scored.result
    rows = []
    for name, found in result.scores.items():
        value = "–" if found.value is None else f"{found.value:.4f}"
        ends = "not estimable" if found.low is None or found.high is None else f"[{found.low:.4f}, {found.high:.4f}]"
        rest = {k: v for k, v in found.statuses.items() if k != "ok"}
        failed = ", ".join(f"{count} {status}" for status, count in rest.items())
        star = " *" if name == result.primary else ""
        rows.append([name + star, value, ends, f"{found.coverage:.1%}", failed])
    head = f"{result.submission.system} on {result.track} ({result.regime}, {scored.items.num_rows} items)"
    lines = [head, table(["metric", "value", "95 % interval", "coverage", "not measured"], rows)]
    for what, judge in (("judge", result.judge), ("second judge", result.second_judge)):
        if judge:
            known = ", ".join(f"{value:.4f} on {name}" for name, value in judge.accuracy.items())
            kind = f"local {what}" if judge.local else what
            place = "" if judge.device == "cpu" else f" on {judge.device} (scores are defined on the CPU)"
            lines.append(f"{kind} {judge.name} {judge.sha256[:12]}{place}: accuracy {known}")
    return "\n".join([*lines, "* primary metric; a failed item counts as the metric's lower bound"])


def _require_replaceable(target: Path) -> None:
    """Raises OutputError where a result cannot be written or would replace another kind of file."""
    output_file(target)
    if target.exists() and not _is_result(target):
        raise OutputError(
            "this file is not a result, and is not replaced",
            where=target,
            todo="choose another name with --out, or remove it",
        )


def _is_result(path: Path) -> bool:
    """Whether a file may be replaced by a new result."""
    try:
        return str(json.loads(path.read_text())["schema"]).startswith("xmbench/result/")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _list(problems: Any, what: str, stream: Any = None) -> None:
    for problem in problems[:MAX_LISTED]:
        print(f"  - {problem}", file=stream)
    if len(problems) > MAX_LISTED:
        print(f"  ... and {len(problems) - MAX_LISTED} more {what} (--json lists all)", file=stream)
