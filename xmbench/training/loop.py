"""The one seeded training loop: one phase from start to end, or from its checkpoint to its end.

::

    RUN.folder/checkpoints/<phase>.pt            a phase under way: weights, optimiser, random state
    RUN.folder/checkpoints/<phase>.safetensors   a finished phase: the selected weights, with what they are
    RUN.folder/curves.csv, curves/               losses by step, as a table and for TensorBoard

A batch, a learning rate and a random state are functions of (seed, phase, step). A training that was killed
and taken up again therefore ends, on the CPU, with the very weights of one that was not.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from xmbench.errors import CheckError, PrerequisiteError
from xmbench.interfaces import Run
from xmbench.storage.files import make_folder
from xmbench.training.checkpoints import load_final, load_partial, save_final, save_partial
from xmbench.training.curves import Curves
from xmbench.training.device import keep_freed_memory, seed_everything
from xmbench.training.phase import Phase, State, batch_positions, learning_rate, make_optimiser

CHECKPOINT_EVERY_S = 60.0
REPORT_EVERY_S = 10.0
CURVE_EVERY_STEPS = 10


def train(phase: Phase, run: Run) -> None:
    """Trains a phase to its end, or takes up its checkpoint; `phase.module` then holds the selected weights.

    Raises:
        OutputError: the folder cannot be written, or its checkpoints are of another training.
        CheckError: the loss is no longer a finite number.
        KeyboardInterrupt: stopped by a signal, after a checkpoint was written.
    """
    if phase.precision == "bf16" and run.device != "cuda":
        raise PrerequisiteError("precision bf16 needs a CUDA device", todo="use --set precision=float32")
    folder = make_folder(run.folder / "checkpoints")
    partial, final = folder / f"{phase.name}.pt", folder / f"{phase.name}.safetensors"
    if run.resume and final.is_file():
        load_final(final, phase, run)
        return
    final.unlink(missing_ok=True)
    if run.device == "cpu":
        keep_freed_memory()
    seed_everything(run.seed, phase.name)
    optimiser, state = make_optimiser(phase.module, phase.optimiser), State()
    if run.resume and partial.is_file():
        load_partial(partial, phase, run, optimiser, state)
        run.progress(f"{phase.name}: goes on at step {state.step} of {phase.steps}")
    with Curves(phase, run, state) as curves, _stop_requests() as stop_requested:
        _steps(phase, run, optimiser, state, curves, partial, stop_requested)
    phase.module.load_state_dict(state.best)
    phase.module.eval()
    save_final(final, phase, run, state)
    partial.unlink(missing_ok=True)


def _steps(
    phase: Phase,
    run: Run,
    optimiser: torch.optim.Optimizer,
    state: State,
    curves: Curves,
    partial: Path,
    stop_requested: Callable[[], bool],
) -> None:
    started = saved = reported = time.monotonic()
    first = state.step
    phase.module.train()
    while state.step < phase.steps:
        losses = _update(phase, run, optimiser, state.step)
        state.step += 1
        last = state.step == phase.steps
        if state.step % CURVE_EVERY_STEPS == 0 or last:
            _record(phase, run, curves, state, {key: float(value) for key, value in losses.items()})
        if last or (phase.validate is not None and state.step % phase.validate_every == 0):
            _select(phase, run, curves, state)
        now = time.monotonic()
        if now - reported >= REPORT_EVERY_S or last:
            done = (now - started) / (state.step - first)
            run.progress(
                f"{phase.name}: step {state.step} of {phase.steps}, loss {float(losses['loss']):.4g}, "
                f"{now - started:.0f} s, about {done * (phase.steps - state.step):.0f} s left"
            )
            reported = now
        if not last and (stop_requested() or now - saved >= CHECKPOINT_EVERY_S):
            curves.flush()
            save_partial(partial, phase, run, optimiser, state)
            saved = now
        if stop_requested():
            run.progress(f"{phase.name}: stopped at step {state.step}; --resume goes on from here")
            raise KeyboardInterrupt


def _update(phase: Phase, run: Run, optimiser: torch.optim.Optimizer, step: int) -> Mapping[str, Tensor]:
    """One step on batch number `step`; returns its losses."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(phase.optimiser, step, phase.steps)
    with torch.autocast(run.device, torch.bfloat16, enabled=phase.precision == "bf16"):
        losses = phase.loss(batch_positions(phase, run.seed, step))
    optimiser.zero_grad(set_to_none=True)
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    if phase.optimiser.clip_norm is not None:
        nn.utils.clip_grad_norm_(phase.module.parameters(), phase.optimiser.clip_norm)
    optimiser.step()
    return {name: value.detach() for name, value in losses.items()}


def _record(phase: Phase, run: Run, curves: Curves, state: State, values: Mapping[str, float]) -> None:
    """Adds losses to the curves; stops a training that has diverged."""
    curves.add(state.step, values)
    if not all(math.isfinite(value) for value in values.values()):
        curves.flush()
        raise CheckError(
            f"the training diverged: {phase.name} has the loss {values['loss']} at step {state.step}",
            where=run.folder,
            expected="a finite loss",
            todo="a lower learning rate, or a limit on the gradient (--set NAME=VALUE)",
        )


def _select(phase: Phase, run: Run, curves: Curves, state: State) -> None:
    """Validates, and keeps the weights if they are the best so far (or if nothing is held out)."""
    value = -math.inf
    if phase.validate is not None:
        phase.module.eval()
        with torch.no_grad():
            values = dict(phase.validate())
        phase.module.train()
        curves.add(state.step, {f"validation-{key}": number for key, number in values.items()})
        value = values["selection"]
        run.progress(f"{phase.name}: step {state.step}, validation {value:.4g}")
    if value < state.best_value:
        weights = phase.module.state_dict()
        state.best = {key: tensor.detach().cpu().clone() for key, tensor in weights.items()}
        state.best_step, state.best_value = state.step, value


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM let the step at hand end: its checkpoint is whole. A second one stops at once."""
    asked: list[int] = []

    def note(signum: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(signum)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
