"""Commands of the last stage: `leaderboard`, `report` and `demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from xmbench.cli.tables import table
from xmbench.cli.terminal import print

Folder = Annotated[Path, typer.Option("--dir", help="Where the results lie.")]
_DEFAULT = Path("leaderboards")


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    board = typer.Typer(help="Tables from the results under leaderboards/.", invoke_without_command=True)
    app.add_typer(board, name="leaderboard")
    app.command()(report)
    app.command()(demo)

    @board.callback()
    def root(
        ctx: typer.Context,
        check: Annotated[bool, typer.Option("--check", help="Exit 1 if a page is out of date.")] = False,
        folder: Folder = _DEFAULT,
    ) -> None:
        """Prints the boards; with --check, says whether the generated pages are current."""
        from xmbench import leaderboard

        if ctx.invoked_subcommand:
            if folder != _DEFAULT or check:
                raise typer.BadParameter(f"put --dir behind the command: xmbench leaderboard {ctx.invoked_subcommand}")
            return
        if check:
            leaderboard.check(folder)
            print("every page is current")
            return
        for path, text in leaderboard.pages(folder).items():
            if path.suffix == ".md" and path.name != "README.md":
                print(text)

    @board.command()
    def build(folder: Folder = _DEFAULT) -> None:
        """Writes the pages: leaderboards/*.md, and index.html to sort and filter in a browser."""
        from xmbench import leaderboard

        changed = leaderboard.build(folder)
        print("\n".join(f"wrote {path}" for path in changed) or "every page was current")

    @board.command()
    def add(
        results: Annotated[list[Path], typer.Argument(help="result.json files")], folder: Folder = _DEFAULT
    ) -> None:
        """Takes results into the boards and writes the pages."""
        from xmbench import leaderboard

        for path in results:
            added = leaderboard.add(folder, path)
            others = "other" if added.paired == 1 else "others"
            print(f"added {added.path}, compared item by item with {added.paired} {others}")
            for warning in added.warnings:
                print(f"  warning: {warning}", file=sys.stderr)
        leaderboard.build(folder)


def report(
    result: Annotated[Path, typer.Argument(help="result.json, with its per-item table beside it")],
    submission: Annotated[
        Path | None, typer.Option(help="What was scored, for the media (default: submission/ beside the result).")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data set; found by digest if left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page (default: RESULT.report.html beside the result).")] = None,
    folder: Annotated[Path, typer.Option("--dir", help="The boards, for their floors and ceilings.")] = _DEFAULT,
) -> None:
    """One page per result: scores per class, confusion of the judge, best, median and worst items with their media."""
    from xmbench.views.report import write_report

    target = out or result.with_name(f"{result.stem}.report.html") if result.name else result
    done = write_report(result, target, submission=submission, data=data, root=folder)
    for text in done.missing:
        print(text, file=sys.stderr)
    print(f"wrote {target}: {target.stat().st_size / 1e6:.2f} MB, {done.shown} items with media")


def demo(out: Annotated[Path, typer.Option(help="Folder for everything it makes.")] = Path("demo")) -> None:
    """The whole path on embedded data, offline, on a CPU: build, train, score, rank, and a page to listen to."""
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
    print("* primary metric; floors and ceilings carry no rank")
    print(f"\nlook and listen: {done.page.resolve()}")
