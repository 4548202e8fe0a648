"""The seeded training loop: one phase from the start or from its checkpoint to the end.

::

    RUN.folder/checkpoints/<phase>.pt                an unfinished phase: weights, optimisers, random state
    RUN.folder/checkpoints/<phase>.safetensors       a finished phase: the selected weights and their description
    RUN.folder/checkpoints/<phase>-<step>.safetensors  the weights of a step, if snapshots are on
    RUN.folder/curves.csv, curves/                   losses by step, as a table and for TensorBoard

A batch, a learning rate and a random state are functions of (seed, phase, step). A training that was killed
and resumed therefore ends, on the CPU, with the same weights, bit for bit, as one that was not.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from xmbench.errors import CheckError, PrerequisiteError
from xmbench.interfaces import Run
from xmbench.storage.files import make_folder
from xmbench.training.averaging import averaged, move_average
from xmbench.training.checkpoints import Timer, load_final, load_partial, save_partial, save_weights
from xmbench.training.curves import Curves
from xmbench.training.device import autocast, computing, keep_freed_memory, seed_everything
from xmbench.training.optimisers import make_optimiser
from xmbench.training.phase import Phase, State, batch_positions
from xmbench.training.processes import Processes, join_processes
from xmbench.training.updates import take_step, trainable_of

REPORT_EVERY_S = 10.0
CURVE_EVERY_STEPS = 10


def train(phase: Phase, run: Run) -> None:
    """Trains a phase to its end, or resumes its checkpoint; `phase.module` then holds the selected weights.

    Raises:
        OutputError: the directory cannot be written, or its checkpoints are of another training.
        CheckError: a loss, or the value that selects, is not finite.
        PrerequisiteError: out of memory, or fewer items in a batch than processes.
        KeyboardInterrupt: stopped by a signal, after a checkpoint was written.
    """
    processes = join_processes(run.device)
    if phase.batch < processes.size:
        raise PrerequisiteError(
            f"{phase.name}: a batch of {phase.batch} for {processes.size} processes",
            expected="at least one item for each process",
            todo="use a larger batch, or fewer processes",
        )
    folder = make_folder(run.folder / "checkpoints")
    partial, final = folder / f"{phase.name}.pt", folder / f"{phase.name}.safetensors"
    if processes.agreed(run.resume and final.is_file()):
        load_final(final, phase, run)
        return
    if processes.first:
        final.unlink(missing_ok=True)
    state = _start(phase, run, partial, processes)
    with Curves(phase, run, state, processes.first) as curves, _stop_requests() as stop_requested:
        with computing(f"training {phase.name} with batches of {phase.batch}"):
            _run_steps(phase, run, state, curves, partial, stop_requested, processes)
        phase.module.load_state_dict(state.best)
        phase.module.eval()
        if processes.first:
            save_weights(final, state.best, phase, run, state)
            partial.unlink(missing_ok=True)
        if processes.any(stop_requested()):
            raise KeyboardInterrupt


def _start(phase: Phase, run: Run, partial: Path, processes: Processes) -> State:
    """Seeds, optimisers, and the checkpoint where there is one to resume."""
    if run.device == "cpu":
        keep_freed_memory()
    # Noise and dropout differ between processes; initial weights and batches do not.
    seed_everything(run.seed, phase.name, *([] if processes.first else ["process", processes.rank]))
    processes.same_start(phase.module)
    state = State([make_optimiser(update.module, update.optimiser) for update in phase.updates])
    if processes.agreed(run.resume and partial.is_file()):
        load_partial(partial, phase, run, state, processes)
        run.progress(f"{phase.name}: resumes at step {state.step} of {phase.steps}")
    return state


def _run_steps(
    phase: Phase,
    run: Run,
    state: State,
    curves: Curves,
    partial: Path,
    stop_requested: Callable[[], bool],
    processes: Processes,
) -> None:
    timer, show = Timer(phase, state), _StepProgress(phase, run, state)
    phase.module.train()
    with trainable_of(phase) as weights:
        while state.step < phase.steps:
            losses = take_step(phase, run, state, weights, processes)
            move_average(phase, state)
            state.step += 1
            last = state.step == phase.steps
            if phase.ahead is not None and not last:
                phase.ahead(processes.share(batch_positions(phase, run.seed, state.step)))
            if state.step % CURVE_EVERY_STEPS == 0 or last:
                _record(phase, run, curves, state, losses, processes)
            if last or (phase.validate is not None and state.step % phase.validate_every == 0):
                _select(phase, run, curves, state, processes)
            if phase.snapshot_every and state.step % phase.snapshot_every == 0:
                _save_snapshot(partial, phase, run, state, processes)
            show(losses, last)
            # Several processes must decide alike, and to communicate at every step would cost more than a step.
            if not last and (processes.size == 1 or state.step % CURVE_EVERY_STEPS == 0):
                stop = processes.any(stop_requested())
                if stop or processes.agreed(timer.due()):
                    curves.flush()
                    timer.write(lambda: save_partial(partial, phase, run, state, processes))
                if stop:
                    run.progress(f"{phase.name}: stopped at step {state.step}; --resume continues from here")
                    raise KeyboardInterrupt


class _StepProgress:
    """Shows the step of a phase, every ten seconds."""

    def __init__(self, phase: Phase, run: Run, state: State) -> None:
        self._phase, self._run, self._state, self._first = phase, run, state, state.step
        self._started = self._shown = time.monotonic()

    def __call__(self, losses: dict[str, Tensor], last: bool) -> None:
        now, step, steps = time.monotonic(), self._state.step, self._phase.steps
        if "loss" not in losses or not (last or now - self._shown >= REPORT_EVERY_S):
            return
        left = (now - self._started) / (step - self._first) * (steps - step)
        self._run.progress(
            f"{self._phase.name}: step {step} of {steps}, loss {float(losses['loss']):.4g}, "
            f"{now - self._started:.0f} s, about {left:.0f} s left"
        )
        self._shown = now


def _record(
    phase: Phase, run: Run, curves: Curves, state: State, losses: dict[str, Tensor], processes: Processes
) -> None:
    """Adds losses to the curves; stops a training that has diverged."""
    values = processes.mean({name: float(value) for name, value in losses.items()})
    curves.add(state.step, values)
    if not all(math.isfinite(value) for value in values.values()):
        curves.flush()
        raise _diverged(phase, run, f"has the loss {values['loss']} at step {state.step}", "a finite loss")


def _select(phase: Phase, run: Run, curves: Curves, state: State, processes: Processes) -> None:
    """Validates, and keeps the weights if they are the best so far (or if nothing is held out)."""
    value = -math.inf
    processes.average_buffers(phase.module)
    with averaged(phase, state):
        if phase.validate is not None:
            phase.module.eval()
            with torch.no_grad(), autocast(run.device, phase.precision):
                values = processes.agreed(dict(phase.validate()))
            phase.module.train()
            curves.add(state.step, {f"validation-{key}": number for key, number in values.items()})
            value = float(values["selection"])
            if not math.isfinite(value):
                curves.flush()
                raise _diverged(phase, run, f"is validated with {value} at step {state.step}", "a finite value")
            run.progress(f"{phase.name}: step {state.step}, validation {value:.4g}")
        if value < state.best_value:
            _keep(phase, state)
            state.best_step, state.best_value = state.step, value


def _keep(phase: Phase, state: State) -> None:
    """Copies the weights to the host, reusing the memory of earlier copies."""
    for key, tensor in phase.module.state_dict().items():
        if key in state.best:
            state.best[key].copy_(tensor.detach())
        else:
            state.best[key] = tensor.detach().to("cpu", copy=True)


def _save_snapshot(partial: Path, phase: Phase, run: Run, state: State, processes: Processes) -> None:
    processes.average_buffers(phase.module)
    if processes.first:
        with averaged(phase, state):
            path = partial.with_name(f"{phase.name}-{state.step}.safetensors")
            save_weights(path, phase.module.state_dict(), phase, run, state)


def _diverged(phase: Phase, run: Run, how: str, expected: str) -> CheckError:
    return CheckError(
        f"the training diverged: {phase.name} {how}",
        where=run.folder,
        expected=expected,
        todo="use a lower learning rate, or clip the gradient (--set NAME=VALUE)",
    )


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM let the current step finish and write a checkpoint. A second one stops at once."""
    requests: list[int] = []

    def request(signum: int, _frame: object) -> None:
        if requests:
            raise KeyboardInterrupt
        requests.append(signum)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(requests)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
