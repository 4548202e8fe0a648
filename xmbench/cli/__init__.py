"""The command line: each command parses, calls one function, prints.

Exit codes: 0 done, 1 a check did not hold, 2 the user can mend it. A traceback always means a bug.
Heavy imports happen inside the commands, so that `xmbench --help` answers at once.
"""

from __future__ import annotations

import os
import sys

import click
import typer

from xmbench.cli import boards, building, running, scoring
from xmbench.errors import XmbenchError

app = typer.Typer(
    name="xmbench",
    help="Benchmarks for cross-modal image <-> audio generation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (building, running, scoring, boards):
    group.register(app)


def main() -> None:
    """Runs a command; turns every error that a user can mend into a message and an exit code."""
    try:
        sys.exit(app(standalone_mode=False))
    except XmbenchError as error:
        _stop(f"error: {error}", error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        _stop(error.format_message(), 2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        _stop("interrupted: nothing half-written was kept; run the same command again to go on", 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _stop(message: str, code: int) -> None:
    sys.stdout.flush()
    print(message, file=sys.stderr)
    sys.exit(code)
