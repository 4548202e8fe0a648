"""The command line: each command parses, calls one function, prints.

Exit codes: 0 done, 1 a check did not hold, 2 the user can mend it. A traceback always means a bug.
Heavy imports happen inside the commands, so that `xmbench --help` answers at once.
"""

from __future__ import annotations

import errno
import sys
from typing import Any

import typer
from typer.core import TyperGroup

import xmbench
from xmbench.cli import boards, building, inspecting, judging, planning, running, scoring, sharing
from xmbench.errors import XmbenchError

# What the system says of a path that the user named: each is the user's to mend, wherever it comes up.
_OF_PATHS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
}


class CarefulGroup(TyperGroup):
    """Turns every error that a user can mend into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; exits with 2 (or 1 for a check) instead of a traceback."""
        try:
            return super().invoke(ctx)
        except XmbenchError as error:
            _stop(f"error: {error}", error.exit_code)
        except OSError as error:
            if error.errno not in _OF_PATHS:
                raise
            told = XmbenchError(
                f"a file or folder cannot be used ({error.strerror})",
                where=error.filename,
                expected="one that can be read, or written where it is a target",
                todo="check its name, its permissions and the space on the disk, and run the same command again",
            )
            _stop(f"error: {told}", told.exit_code)
        except KeyboardInterrupt:
            _stop(
                "interrupted: no half-written file was kept; the same command goes on (run-baseline: with --resume)", 2
            )


app = typer.Typer(
    name="xmbench",
    cls=CarefulGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for stage in (building, inspecting, planning, running, scoring, judging, boards, sharing):
    stage.register(app)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True)) -> None:
    """Benchmarks for cross-modal image <-> audio generation."""
    if version:
        print(f"xmbench {xmbench.__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point of the program `xmbench`."""
    app()


def _stop(message: str, code: int) -> None:
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
    sys.exit(code)
