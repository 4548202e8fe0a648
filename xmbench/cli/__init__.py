"""The command line: each command parses, calls one function, prints.

Exit codes: 0 done, 1 a check did not hold, 2 the user can fix it, 3 stopped at a time limit.
A traceback always means a bug.
This module imports next to nothing, so that Ctrl-C is handled from the start; the commands are in `program`.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

INTERRUPTED = (
    "interrupted: no half-written file was kept; run the same command again to resume (run-baseline: with --resume)"
)
_CODES = (None, 0, 1, 2, 3)  # exit codes of a command; any other error after Ctrl-C was made of the interrupt


def main() -> None:
    """Entry point of the program `xmbench`."""
    answer = _Interrupt()
    with answer:
        from xmbench.cli.program import run

        run(sys.argv[1:])


def __getattr__(name: str) -> Any:
    """`xmbench.cli.app`, for calling commands from Python."""
    if name == "app":
        from xmbench.cli.program import app

        return app
    raise AttributeError(f"module 'xmbench.cli' has no attribute '{name}'")


class _Interrupt:
    """Ends with one line after Ctrl-C, also where an import or a library turned it into another exception."""

    def __init__(self) -> None:
        self._interrupted = False
        # A process started in the background ignores Ctrl-C, and continues to.
        self._installed = signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def __enter__(self) -> None:
        if self._installed:
            try:
                signal.signal(signal.SIGINT, self._note)
            except ValueError:  # called from a thread: the caller handles Ctrl-C
                self._installed = False
                return
            sys.unraisablehook, self._hook = self._unraisable, sys.unraisablehook

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.unraisablehook = self._hook
        # An interrupt inside an `exec` (each dataclass and named tuple has one) is remembered by CPython, which then
        # ends by the signal whatever our exit code; the next `exec` forgets it.
        exec("")
        if isinstance(error, SystemExit) and error.code in _CODES:
            return
        if isinstance(error, KeyboardInterrupt) or (self._interrupted and error is not None):
            print(INTERRUPTED, file=sys.stderr, flush=True)
            sys.exit(2)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True
        raise KeyboardInterrupt

    def _unraisable(self, dropped: Any) -> None:
        """Raises Ctrl-C again where a destructor or a callback, in which Python drops exceptions, received it."""
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            import threading

            again = threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,))
            again.daemon = True
            again.start()
        else:
            self._hook(dropped)
