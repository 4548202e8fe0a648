"""Every command, and the messages for errors that a user can fix.

Heavy imports happen inside the commands, so that `xmbench --help` is fast.
"""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

import xmbench
from xmbench.cli import (
    INTERRUPTED,
    boards,
    building,
    harvesting,
    inspecting,
    judging,
    packing,
    planning,
    rating,
    running,
    scoring,
    sharing,
    studying,
    terminal,
)
from xmbench.cli.terminal import print
from xmbench.errors import XmbenchError
from xmbench.storage.files import expanded


class Commands(TyperGroup):
    """Turns every error that a user can fix into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; exits with 2 (1 for a check, 3 at a time limit) instead of a traceback."""
        try:
            found = super().invoke(ctx)
            terminal.flush()
        except XmbenchError as error:
            _stop(f"{error.heading}: {error}", error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has closed it
                raise
            explained = XmbenchError(
                f"a file or directory cannot be used ({error.strerror or error})",
                where=error.filename,
                expected="one that can be read, or written if it is an output",
                todo="check that it still exists, its name, its permissions and the space on the disk, and run the "
                "same command again",
            )
            _stop(f"error: {explained}", explained.exit_code)
        except KeyboardInterrupt:
            _stop(INTERRUPTED, 2)
        return found


app = typer.Typer(
    name="xmbench",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
STAGES = (
    *(building, harvesting, inspecting, planning, running, scoring, judging),
    *(rating, boards, sharing, packing, studying),
)
for stage in STAGES:
    stage.register(app)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True)) -> None:
    """Benchmarks for cross-modal image <-> audio generation."""
    if version:
        print(f"xmbench {xmbench.__version__}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> None:
    """Runs a command line, without the program's name; exits."""
    terminal.prepare()
    try:
        expanded = [_expanded(argument) for argument in arguments]
    except XmbenchError as error:
        _stop(f"error: {error}", error.exit_code)
    app(args=expanded)


def _expanded(argument: str) -> str:
    """`~/x` and `--out=~/x` expanded; a shell expands only the first."""
    option, path = re.fullmatch(r"(--[a-z-]+=)?(.*)", argument, re.DOTALL).groups("")  # type: ignore[union-attr]
    return option + str(expanded(path)) if path.startswith("~") else argument


def _stop(message: str, code: int) -> NoReturn:
    terminal.abandon_output()
    print(message, file=sys.stderr, flush=True)
    sys.exit(code)
