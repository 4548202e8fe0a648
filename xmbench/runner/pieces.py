"""A training in several pieces: the time limit of one, and the seconds of all of them.

A run that was stopped, or killed, goes on with `--resume`; `run.json` is written at each checkpoint, so that the
seconds of a killed piece are counted up to its last one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from xmbench.errors import DocumentError, UnfinishedError
from xmbench.interfaces import PhaseProgress
from xmbench.runner.settings import PhaseRecord, RunRecord
from xmbench.storage.files import write_text

_UNITS_S = (3600.0, 60.0, 1.0)


def parse_duration(text: str) -> float:
    """Seconds of `8m`, `90s` or `1h30m`.

    Raises:
        DocumentError: not a number with a unit, or nothing.
    """
    found = re.fullmatch(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", text.strip())
    counts = found.groups(default="0") if found else ("0",) * len(_UNITS_S)
    seconds = sum(int(count) * unit_s for count, unit_s in zip(counts, _UNITS_S, strict=True))
    if not seconds:
        raise DocumentError(f"{text[:40]!r} is not a length of time", expected="like 8m, 90s or 1h30m")
    return seconds


class Pieces:
    """The seconds of a training over all pieces of its run, this one included, and where they are kept."""

    def __init__(self, path: Path, record: RunRecord, writes: bool = True) -> None:
        self._path, self._writes, self.record = path, writes, record
        self._started = time.monotonic()

    @contextmanager
    def training(self, phases: Mapping[str, PhaseProgress]) -> Iterator[None]:
        """Keeps the seconds of a training that ends in whatever way; those of a finished one do not grow."""
        try:
            yield
        except BaseException:
            self.keep(phases)
            raise
        seconds = self._seconds() if self.record.training_seconds is None else self.record.training_seconds
        self._write(phases, training_seconds=seconds, unfinished_seconds=0.0)

    def keep(self, phases: Mapping[str, PhaseProgress]) -> None:
        """Writes the seconds so far of an unfinished training; called after each checkpoint."""
        if self.record.training_seconds is None:
            self._write(phases, unfinished_seconds=self._seconds())

    def _seconds(self) -> float:
        earlier = self.record.unfinished_seconds
        now = time.monotonic()
        self._started, passed = now, now - self._started
        return round(earlier + passed, 2)

    def _write(self, phases: Mapping[str, PhaseProgress], **changed: float) -> None:
        known = {
            name: PhaseRecord(steps=part.done, planned=part.steps, selected=part.selected, parameters=part.parameters)
            for name, part in phases.items()
        }
        self.record = self.record.model_copy(update={**changed, "phases": known or self.record.phases})
        if self._writes:
            write_text(self._path, self.record.to_json())


def limit_of(time_limit_s: float | None) -> float | None:
    """`time.monotonic()` at which a time limit that begins now has passed."""
    return None if time_limit_s is None else time.monotonic() + time_limit_s


def require_time(stop_at: float | None, where: Path, state: str) -> None:
    """Raises UnfinishedError if the time limit has come.

    Args:
        stop_at: as `limit_of` gives it.
        where: directory of the run.
        state: what is finished and what is not, for the message.
    """
    if stop_at is not None and time.monotonic() >= stop_at:
        raise UnfinishedError(
            f"the time limit has come: {state}",
            where=where,
            todo="use the same command with --resume; outputs are generated in one piece, so if it stops here again, "
            "use a longer --time-limit",
        )
