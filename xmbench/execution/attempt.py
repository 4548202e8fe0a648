"""One task in a worker: its result, or what it raised, as a value that can always be sent back."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xmbench.errors import XmbenchError


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a task.

    Attributes:
        value: the result; None where the task raised.
        error: what it raised.
        trace: the worker's traceback of an error that is not an XmbenchError; "" otherwise.
    """

    value: Any = None
    error: Exception | None = None
    trace: str = ""

    def result(self) -> Any:
        """The result.

        Raises:
            Exception: what the task raised, unchanged; for a bug the worker's traceback is added as a note.
        """
        if self.error is None:
            return self.value
        if self.trace:
            self.error.add_note(f"in a worker:\n{self.trace}")
        raise self.error


def attempt(work: Callable[[Any, Any], Any], shared: Any, task: Any) -> Outcome:
    """Runs a task. What an `except Exception` catches becomes an outcome; anything else ends the worker."""
    try:
        return Outcome(work(shared, task))
    except Exception as error:
        return failed(error)


def failed(error: Exception) -> Outcome:
    """The outcome of a task that raised."""
    trace = "" if isinstance(error, XmbenchError) else "".join(traceback.format_exception(error))
    return Outcome(None, error if _travels(error) else RuntimeError(f"{type(error).__name__}: {error}"), trace)


def _travels(error: Exception) -> bool:
    """Whether an exception survives pickling: one with its own constructor arguments often does not."""
    try:
        return type(pickle.loads(pickle.dumps(error))) is type(error)
    except Exception:  # pickling runs the exception's own code
        return False
