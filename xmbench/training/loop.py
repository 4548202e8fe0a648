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

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xmbench.errors import PrerequisiteError, UnfinishedError
from xmbench.interfaces import PhaseProgress, Run
from xmbench.storage.files import make_folder
from xmbench.training.averaging import averaged, move_average
from xmbench.training.checkpoints import Timer, load_final, load_partial, save_partial, save_weights
from xmbench.training.curves import Curves
from xmbench.training.device import computing, keep_freed_memory, seed_everything
from xmbench.training.optimisers import make_optimiser
from xmbench.training.phase import Phase, State, batch_positions
from xmbench.training.processes import Processes, join_processes
from xmbench.training.progress import StepProgress, whole_share
from xmbench.training.selection import record, select
from xmbench.training.updates import take_step, trainable_of

REPORT_EVERY_S = 10.0
CURVE_EVERY_STEPS = 10


def train(phase: Phase, run: Run) -> None:
    """Trains a phase to its end, or resumes its checkpoint; `phase.module` then holds the selected weights.

    Raises:
        OutputError: the directory cannot be written, or its checkpoints are of another training.
        CheckError: a loss, a value of the validation, or a weight to be kept, is not finite.
        DocumentError: a loss or a validation without the value that the loop needs.
        PrerequisiteError: out of memory, or fewer items in a batch than processes.
        UnfinishedError: `run.stop_at` has come, after at least one step, and a checkpoint was written.
        KeyboardInterrupt: stopped by a signal, after a checkpoint was written.
    """
    processes = join_processes(run.device)
    if phase.batch < processes.size:
        raise PrerequisiteError(
            f"{phase.name}: a batch of {phase.batch} for {processes.size} processes",
            expected="at least one item for each process",
            todo="use a larger batch, or fewer processes",
        )
    known = run.phases.setdefault(phase.name, PhaseProgress(phase.steps))
    known.steps, known.parameters = phase.steps, sum(parameter.numel() for parameter in phase.module.parameters())
    folder = make_folder(run.folder / "checkpoints")
    partial, final = folder / f"{phase.name}.pt", folder / f"{phase.name}.safetensors"
    if processes.agreed(run.resume and final.is_file()):
        load_final(final, phase, run)
        return
    if processes.first:
        final.unlink(missing_ok=True)
    state = _start(phase, run, partial, processes)
    with Curves(phase, run, state, processes.first) as curves, _stop_requests() as stop_requested:
        with computing(f"training {phase.name} with batches of {phase.batch}", _smaller_batch(phase)):
            _run_steps(phase, run, state, curves, partial, stop_requested, processes)
        phase.module.load_state_dict(state.best)
        phase.module.eval()
        if processes.first:
            save_weights(final, state.best, phase, run, state)
            partial.unlink(missing_ok=True)
        known.done, known.selected = state.step, state.best_step
        run.saved()
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
    timer, show = Timer(phase, state), StepProgress(phase, run, state, REPORT_EVERY_S)
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
                record(phase, run, curves, state, losses, processes)
            if last or (phase.validate is not None and state.step % phase.validate_every == 0):
                select(phase, run, curves, state, processes)
            if phase.snapshot_every and state.step % phase.snapshot_every == 0:
                _save_snapshot(partial, phase, run, state, processes)
            show(losses, last)
            if last or _stops_early(phase, run, state):
                return
            # Several processes must decide alike, and to communicate at every step would cost more than a step.
            if processes.size == 1 or state.step % CURVE_EVERY_STEPS == 0:
                stop, late = processes.any(stop_requested()), processes.agreed(timer.late(run.stop_at))
                if stop or late or processes.agreed(timer.due()):
                    curves.flush()
                    timer.write(lambda: save_partial(partial, phase, run, state, processes))
                    run.saved()
                if stop or late:
                    _stop(phase, run, state, stop)


def _stops_early(phase: Phase, run: Run, state: State) -> bool:
    """Whether the validation has not improved for as long as the phase is patient."""
    if not phase.patience or state.waited < phase.patience:
        return False
    run.progress(
        f"{phase.name}: stopped early at step {state.step} of {phase.steps}: {state.waited} validations "
        f"without an improvement; the weights of step {state.best_step} are kept"
    )
    return True


def _stop(phase: Phase, run: Run, state: State, requested: bool) -> None:
    """Ends an unfinished phase whose checkpoint has been written."""
    if requested:
        run.progress(f"{phase.name}: stopped at step {state.step}; --resume continues from here")
        raise KeyboardInterrupt
    raise UnfinishedError(
        f"the time limit has come: {phase.name} is at step {state.step} of {phase.steps}, "
        f"{whole_share(run.phases):.0%} of the training",
        where=run.folder,
        todo="use the same command with --resume: it continues from this step; no outputs are written yet",
    )


def _smaller_batch(phase: Phase) -> str:
    """What to change where a batch does not fit into memory."""
    setting = phase.batch_setting or "NAME"
    smaller = max(phase.batch // 2, 1)
    return f"use a smaller batch (--set {setting}={smaller} instead of {phase.batch})"


def _save_snapshot(partial: Path, phase: Phase, run: Run, state: State, processes: Processes) -> None:
    processes.average_buffers(phase.module)
    if processes.first:
        with averaged(phase, state):
            path = partial.with_name(f"{phase.name}-{state.step}.safetensors")
            save_weights(path, phase.module.state_dict(), phase, run, state)


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
