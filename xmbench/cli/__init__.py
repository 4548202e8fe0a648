"""The command line: each command parses, calls one function, prints.

Exit codes: 0 done, 1 a check did not hold, 2 the user can fix it. A traceback always means a bug.
This module imports next to nothing, so that Ctrl-C is answered from the start; `program` has the commands.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Any

INTERRUPTED = "interrupted: no half-written file was kept; the same command goes on (run-baseline: with --resume)"
_CODES = (None, 0, 1, 2)  # with which a command ends; anything else after Ctrl-C is what became of the interrupt


def main() -> None:
    """Entry point of the program `xmbench`."""
    answer = _Interrupt()
    with answer:
        from xmbench.cli.program import run

        run(sys.argv[1:])


def __getattr__(name: str) -> Any:
    """`xmbench.cli.app`, for those who call commands from Python."""
    if name == "app":
        from xmbench.cli.program import app

        return app
    raise AttributeError(f"module 'xmbench.cli' has no attribute '{name}'")


class _Interrupt:
    """Ends with one line after Ctrl-C, also where an import or a library made another exception of it."""

    def __init__(self) -> None:
        self._came = False
        # Started in the background, a process has Ctrl-C ignored, and that stays so.
        self._answered = signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def __enter__(self) -> None:
        if self._answered:
            try:
                signal.signal(signal.SIGINT, self._note)
            except ValueError:  # called from a thread: whoever called answers
                self._answered = False
                return
            sys.unraisablehook, self._hook = self._unraisable, sys.unraisablehook

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        if self._answered:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.unraisablehook = self._hook
        # An interrupt inside an `exec` (each dataclass and named tuple has one) is remembered by CPython, which then
        # ends by the signal whatever our exit code; the next `exec` forgets it.
        exec("")
        if isinstance(error, SystemExit) and error.code in _CODES:
            return
        if isinstance(error, KeyboardInterrupt) or (self._came and error is not None):
            print(INTERRUPTED, file=sys.stderr, flush=True)
            sys.exit(2)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        raise KeyboardInterrupt

    def _unraisable(self, dropped: Any) -> None:
        """Ctrl-C that fell into a destructor or a callback, where Python drops exceptions, comes again."""
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            import threading

            again = threading.Timer(0.05, signal.raise_signal, (signal.SIGINT,))
            again.daemon = True
            again.start()
        else:
            self._hook(dropped)
