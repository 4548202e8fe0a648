"""What a training shows while it runs: one line about all of its phases."""

from __future__ import annotations

import time
from collections.abc import Mapping

from torch import Tensor

from xmbench.interfaces import PhaseProgress, Run
from xmbench.training.phase import Phase, State

STATUS_EVERY_S = 0.2
LATER_SHARE = 0.05  # of the time so far is the longest that a line waits: a training of a day is not 8,000 lines
LONGEST_S = 300.0
BAR = 24  # characters


class StepProgress:
    """Shows the step of a phase, the share of all phases that is done, and the time left over all phases.

    A status line is replaced several times a second; where nothing can show one, plain lines come every ten seconds,
    and less often in a long training.
    """

    def __init__(self, phase: Phase, run: Run, state: State, every_s: float) -> None:
        self._phase, self._run, self._state, self._every_s, self._first = phase, run, state, every_s, state.step
        self._started = self._shown = time.monotonic()

    def __call__(self, losses: Mapping[str, Tensor], last: bool) -> None:
        """Shows a step, if enough time has passed since the line before."""
        now, step = time.monotonic(), self._state.step
        self._run.phases[self._phase.name].done = step
        if "loss" not in losses or not (last or now - self._shown >= self._pause(now - self._started)):
            return
        self._shown = now
        where = f"{self._phase.name}: step {step} of {self._phase.steps}, loss {float(losses['loss']):.4g}"
        share, left = whole_share(self._run.phases), self._left(now)
        rest = f"{now - self._started:.0f} s, about {_duration(left)} left"
        if self._run.status is not None:
            self._run.status(f"[{'#' * int(share * BAR):.<{BAR}}] {share:4.0%}  {where}, {rest}")
        else:
            self._run.progress(f"{where}, {share:.0%} of the training, {rest}")

    def _pause(self, elapsed_s: float) -> float:
        if self._run.status is not None:
            return min(STATUS_EVERY_S, self._every_s)
        return max(self._every_s, min(LATER_SHARE * elapsed_s, LONGEST_S)) if self._every_s else 0.0

    def _left(self, now: float) -> float:
        """Seconds left over all phases, at the speed of this one since it began or was resumed."""
        own = self._run.phases[self._phase.name]
        step_s = (now - self._started) / (self._state.step - self._first)
        return step_s / own.cost * sum(part.cost * _steps_left(part) for part in self._run.phases.values())


def whole_share(phases: Mapping[str, PhaseProgress]) -> float:
    """Share of a training that is done, 0..1: steps of all phases, weighted by their cost."""
    planned = sum(part.cost * part.steps for part in phases.values())
    left = sum(part.cost * _steps_left(part) for part in phases.values())
    return 1.0 - left / planned if planned else 1.0


def _steps_left(part: PhaseProgress) -> int:
    return 0 if part.selected is not None else max(part.steps - part.done, 0)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
