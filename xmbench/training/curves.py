"""Losses by step: as a table, as a picture and for TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from xmbench.interfaces import Run
from xmbench.storage.files import make_folder, write_bytes, write_text
from xmbench.training.board import Board
from xmbench.training.curve_picture import draw_curves
from xmbench.training.phase import Phase, State


class Curves:
    """Losses by step in `curves.csv` (columns phase, step, name, value), `curves.png` and for TensorBoard."""

    def __init__(self, phase: Phase, run: Run, state: State, written: bool = True) -> None:
        self._phase, self._path = phase.name, make_folder(run.folder) / "curves.csv"
        self._rows: list[tuple[str, int, str, float]] = []
        self._run, self._state = run, state
        self._drawn: tuple[int, int] | None = None
        self._written = written  # only by the first of several processes
        if not written:
            return
        before = {name for name, part in run.phases.items() if part.selected is not None}  # in this run
        if (run.resume or before) and self._path.is_file():
            with self._path.open(newline="") as handle:
                rows = [(row[0], int(row[1]), row[2], float(row[3])) for row in list(csv.reader(handle))[1:]]
            # Steps after the checkpoint will be repeated.
            own = state.step if run.resume else 0
            kept = [row for row in rows if run.resume or row[0] in before]
            self._rows = [row for row in kept if row[0] != phase.name or row[1] <= own]
        self._board = Board(run.folder / "curves" / phase.name, purge_step=state.step + 1)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Adds values of one step."""
        if not self._written:
            return
        for name, value in values.items():
            self._rows.append((self._phase, step, name, value))
            self._board.add_scalar(name, value, step)

    def flush(self) -> None:
        """Writes the complete table, and the picture of it."""
        if not self._written:
            return
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["phase", "step", "name", "value"])
        writer.writerows(self._rows)
        write_text(self._path, stream.getvalue())
        selected = {name: part.selected for name, part in self._run.phases.items() if part.selected is not None}
        if self._state.best:  # of this phase: so far
            selected[self._phase] = self._state.best_step
        if self._drawn != (len(self._rows), self._state.best_step):
            write_bytes(self._path.with_suffix(".png"), draw_curves(self._rows, selected))
            self._drawn = len(self._rows), self._state.best_step
        self._board.flush()

    def __enter__(self) -> Curves:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._written:
            return
        try:
            self.flush()
        finally:
            self._board.close()
