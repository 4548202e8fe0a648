"""Commands of the last stage: `leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Option("--dir", help="Where the results lie.")]
_DEFAULT = Path("leaderboards")


def register(app: typer.Typer) -> None:
    """Adds this module's commands."""
    board = typer.Typer(help="Tables from the results under leaderboards/.", invoke_without_command=True)
    app.add_typer(board, name="leaderboard")

    @board.callback()
    def root(
        ctx: typer.Context,
        check: Annotated[bool, typer.Option("--check", help="Exit 1 if a page is out of date.")] = False,
        folder: Folder = _DEFAULT,
    ) -> None:
        """Prints the boards; with --check, says whether the generated pages are current."""
        from xmbench import leaderboard

        if ctx.invoked_subcommand:
            return
        if check:
            leaderboard.check(folder)
            print("every page is current")
            return
        for path, text in leaderboard.pages(folder).items():
            if path.name != "README.md":
                print(text)

    @board.command()
    def build(folder: Folder = _DEFAULT) -> None:
        """Writes the pages (leaderboards/*.md)."""
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
            print(f"added {leaderboard.add(folder, path)}")
        leaderboard.build(folder)
