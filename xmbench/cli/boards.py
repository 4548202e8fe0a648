"""Commands of the last stage: `leaderboard`, `report` and `demo`."""

from __future__ import annotations

import functools
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmbench.cli.tables import table
from xmbench.cli.terminal import print
from xmbench.errors import CheckError, DatasetError, DocumentError

if TYPE_CHECKING:
    from xmbench.formats.dataset import Dataset
    from xmbench.leaderboard import Added

Folder = Annotated[Path, typer.Option("--dir", help="Directory of the results.")]
_DEFAULT = Path("leaderboards")


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    board = typer.Typer(
        help="Prints the boards, adds results to them, writes their pages.", invoke_without_command=True
    )
    app.add_typer(board, name="leaderboard")
    board.callback()(show_boards)
    board.command("build")(build_pages)
    board.command("add")(add_results)
    board.command("anchors")(add_anchors)
    board.command("admit")(admit_submissions)
    board.command("verify")(verify_results)
    app.command()(report)
    app.command()(demo)


def show_boards(
    ctx: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a page is out of date.")] = False,
    folder: Folder = _DEFAULT,
) -> None:
    """Prints the boards; with --check, says whether the generated pages are current."""
    from xmbench import leaderboard

    if ctx.invoked_subcommand:
        if folder != _DEFAULT or check:
            raise typer.BadParameter(f"put --dir after the command: xmbench leaderboard {ctx.invoked_subcommand}")
        return
    if check:
        leaderboard.check(folder)
        print("every page is current")
        return
    for path, text in leaderboard.pages(folder).items():
        if path.suffix == ".md" and path.name != "README.md":
            print(text)


def build_pages(folder: Folder = _DEFAULT) -> None:
    """Writes the pages: leaderboards/*.md, index.html and one page per board to sort and filter in a browser."""
    from xmbench import leaderboard

    changed = leaderboard.build(folder)
    done = [f"{'wrote' if path.exists() else 'removed'} {path}" for path in changed]
    print("\n".join(done) or "every page was current")


def add_results(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT", help="Files result.json.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="The data set (default: found by its digest, if it is here).")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a result of the same system.")] = False,
    folder: Folder = _DEFAULT,
) -> None:
    """Adds results to the boards and writes the pages.

    Scores and intervals are recomputed from the per-item table. Floors, ceilings and references are made again from
    the data set. Every result enters as self-reported: `xmbench leaderboard verify` scores its outputs again.
    """
    from xmbench import leaderboard

    done = 0
    try:
        for path in results:
            dataset = _dataset(path, data)
            progress = functools.partial(print, flush=True)
            _print_added(leaderboard.add(folder, path, replace=replace, dataset=dataset, progress=progress))
            done += 1
    finally:
        if done:  # also if a later one is refused
            _build(folder)


def add_anchors(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A data set.")],
    out: Annotated[Path | None, typer.Option(help="Directory of the runs (default: runs/RECIPE).")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of rows with other outputs.")] = False,
    mark: Annotated[
        bool, typer.Option("--verified", help="Mark them as verified: made and scored here, they need no second time.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that score.")] = os.cpu_count() or 1,
    folder: Folder = _DEFAULT,
) -> None:
    """Runs, scores and adds every floor, ceiling and reference of a data set's tracks."""
    from xmbench.formats.dataset import open_dataset
    from xmbench.leaderboard import anchors

    dataset = open_dataset(data)
    made = anchors.add_anchors(
        folder,
        dataset,
        out or Path("runs") / dataset.recipe.name,
        replace=replace,
        mark=mark,
        workers=workers,
        command=shlex.join(["xmbench", *sys.argv[1:]]),
        progress=lambda line: print(line, flush=True),
    )
    for added in made:
        _print_added(added)
    _build(folder)


def admit_submissions(
    submissions: Annotated[list[Path], typer.Argument(metavar="SUBMISSION", help="Directories of outputs.")],
    data: Annotated[Path, typer.Option("--data", help="The data set that they were made for.")],
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a result of the same system.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that score.")] = os.cpu_count() or 1,
    folder: Folder = _DEFAULT,
) -> None:
    """Scores submissions here and adds them as verified: `score`, `add` and `verify` in one pass.

    For whoever keeps the boards and has the outputs. The result is written beside the submission.
    """
    from xmbench.formats.dataset import open_dataset
    from xmbench.leaderboard import admit

    dataset, command, done = open_dataset(data), shlex.join(["xmbench", *sys.argv[1:]]), 0
    try:
        for path in submissions:
            print(path, flush=True)
            _print_added(
                admit.admit(folder, path, dataset, replace=replace, workers=workers, command=command, progress=print)
            )
            done += 1
    finally:
        if done:  # also if a later one is refused
            _build(folder)


def _print_added(added: Added) -> None:
    others = "other" if added.paired == 1 else "others"
    print(f"added {added.path}, compared item by item with {added.paired} {others}")
    for warning in added.warnings:
        print(f"  warning: {warning}", file=sys.stderr)


def verify_results(
    data: Annotated[Path, typer.Option("--data", help="A data set, or a directory of data sets.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Systems, or files without .json.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every result of the boards.")] = False,
    submissions: Annotated[
        Path | None, typer.Option(help="Directory with the submissions, at any depth; found by their outputs' digest.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = os.cpu_count() or 1,
    tolerance: Annotated[
        float, typer.Option(min=0.0, max=1e-6, help="Allowed difference of a number, for another processor.")
    ] = 0.0,
    check: Annotated[bool, typer.Option("--check", help="Compare only: no status is written.")] = False,
    folder: Folder = _DEFAULT,
) -> None:
    """Scores results of the boards again from their outputs; those that agree get the status "verified".

    Floors, ceilings and references are made again where no submission is there. Exit code 1 if a result does not
    agree, or its outputs are not there; every difference is printed.
    """
    from xmbench.leaderboard import verification

    if bool(names) == every:
        raise typer.BadParameter("name the results, or give --all")
    options = verification.Options(
        submissions,
        data,
        workers=workers,
        tolerance=tolerance,
        command=shlex.join(["xmbench", *sys.argv[1:]]),
        write=not check,
        progress=lambda line: print(line, flush=True),
    )
    wrong = []
    for found in verification.verify(folder, names or [], options):
        for difference in found.differences:
            print(f"  - {difference}")
        for note in found.notes:
            print(f"  note: {note}")
        said = "NOT what its outputs score" if found.differences else f"what its outputs score ({found.source})"
        print(f"  {said}{', marked as verified' if found.marked else ''}", flush=True)
        wrong += [f"{found.path}: {len(found.differences)} differences"] if found.differences else []
    if not check:
        _build(folder)
    if wrong:
        raise CheckError("results that their outputs do not give", where=folder, problems=wrong)


def _dataset(path: Path, data: Path | None) -> Dataset | None:
    """The data set of a result: the named one, or the one with its digest, or None."""
    from xmbench.evaluator.find import find_dataset
    from xmbench.formats.dataset import open_dataset
    from xmbench.formats.document import load_json
    from xmbench.formats.result import Result

    if data is not None:
        return open_dataset(data)
    try:
        return find_dataset(load_json(path, Result).submission)
    except DatasetError:
        return None


def _build(folder: Path) -> None:
    """Writes the pages; a damaged file that was there before is named, and what was added stays."""
    from xmbench import leaderboard

    try:
        leaderboard.build(folder)
    except DocumentError as error:
        print(f"  warning: the pages were not written\n{error}", file=sys.stderr)


def report(
    result: Annotated[
        Path, typer.Argument(metavar="RESULT", help="A result.json, with its per-item table in the same directory.")
    ],
    submission: Annotated[
        Path | None, typer.Option(help="What was scored, for the media (default: submission/ next to the result).")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data set (default: found by its digest).")] = None,
    out: Annotated[Path | None, typer.Option(help="The page (default: RESULT.report.html next to the result).")] = None,
    folder: Annotated[Path, typer.Option("--dir", help="The boards, for their lower and upper bounds.")] = _DEFAULT,
) -> None:
    """Writes a page about a result: scores per class, confusions of the judge, best, median and worst items."""
    from xmbench.views.report import write_report

    target = out or result.with_name(f"{result.stem}.report.html") if result.name else result
    done = write_report(result, target, submission=submission, data=data, root=folder)
    for text in done.missing:
        print(text, file=sys.stderr)
    print(f"wrote {target}: {target.stat().st_size / 1e6:.2f} MB, {done.shown} items with media")


def demo(out: Annotated[Path, typer.Option(help="Directory for all its files.")] = Path("demo")) -> None:
    """Runs all stages on embedded data, offline, on a CPU: build, train, score, rank; ends with a page to listen to."""
    from xmbench.demo import run_demo

    done = run_demo(out, progress=lambda line: print(line, flush=True))
    rows = []
    for row in done.board.rows:
        scores = row.scores
        cells = ["–" if (found := scores[name].value) is None else f"{found:.4f}" for name in done.board.metrics]
        rank = "–" if row.rank is None else str(row.rank)
        rows.append([rank, row.result.submission.system, row.result.submission.kind, *cells])
    heads = [f"{name} *" if name == done.board.primary else name for name in done.board.metrics]
    print()
    print(table(["rank", "system", "kind", *heads], rows))
    reasons = {row.unranked: row.result.submission.system for row in done.board.rows if row.unranked}
    print("* primary metric; lower and upper bounds have no rank")
    for reason, name in reasons.items():
        print(f"{name}: no rank; {reason}")
    print(f"\nopen in a browser: {done.page.resolve()}")
