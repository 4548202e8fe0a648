"""The one seeded training loop: device, precision, batches, learning rate, checkpoints, resume, curves.

::

    RUN.folder/checkpoints/<phase>.pt            a phase under way: weights, optimiser, random state
    RUN.folder/checkpoints/<phase>.safetensors   a finished phase: the selected weights, with what they are
    RUN.folder/curves.csv, curves/               losses by step, as a table and for TensorBoard

A batch, a learning rate and a random state are functions of (seed, phase, step). A training that was killed
and taken up again therefore ends, on the CPU, with the very weights of one that was not.
"""

from __future__ import annotations

import csv
import ctypes
import hashlib
import io
import json
import math
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import timm.optim
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn

from xmbench.errors import CheckError, OutputError, PrerequisiteError
from xmbench.formats.files import make_folder, replacing, write_bytes, write_text
from xmbench.interfaces import Run

CHECKPOINT_EVERY_S = 60.0
REPORT_EVERY_S = 10.0
CURVE_EVERY_STEPS = 10
VALIDATION_ITEMS = 5000

Precision = Literal["float32", "bf16"]
OptimiserName = Literal["rmsprop-tf", "rmsprop-torch", "adam"]
Schedule = Literal["cosine", "constant"]


@dataclass(frozen=True, slots=True)
class Optimiser:
    """How weights change.

    Attributes:
        name: "rmsprop-tf" has TensorFlow's semantics: mean square starts at one, epsilon 1e-10 inside the
            root, the learning rate folded into the momentum. "rmsprop-torch" has none of them.
        learning_rate: its peak.
        weight_decay: coupled: adds `weight_decay * W` to the gradient of conv and FC weights only.
        momentum: of RMSProp.
        warmup_steps: linear rise from zero.
        schedule: after the warm-up, "cosine" falls to zero at the last step.
        clip_norm: largest norm of the whole gradient; None leaves it alone.
    """

    name: OptimiserName = "rmsprop-tf"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    momentum: float = 0.9
    warmup_steps: int = 0
    schedule: Schedule = "cosine"
    clip_norm: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Phase:
    """One training from start to end: a module, a loss, a number of steps.

    Attributes:
        name: of its files and curves.
        module: what is trained; holds the selected weights afterwards.
        items: how many training items there are.
        steps: updates in all.
        batch_size: items per update; a last, smaller batch of an epoch is dropped.
        optimiser: how weights change.
        loss: positions of a batch, int64 (B,), 0..items-1 -> losses by name; "loss" is what is minimised.
        validate: values on held-out items by name; the lowest "selection" is kept. None keeps the last.
        validate_every: steps between validations; there is one at the end in any case.
        precision: "bf16" runs the loss under autocast, on CUDA only.
        validation_ids: ids of the held-out items, kept in the checkpoint.
    """

    name: str
    module: nn.Module
    items: int
    steps: int
    batch_size: int
    optimiser: Optimiser
    loss: Callable[[Tensor], Mapping[str, Tensor]]
    validate: Callable[[], Mapping[str, float]] | None = None
    validate_every: int = 1
    precision: Precision = "float32"
    validation_ids: tuple[str, ...] = ()

    @property
    def batch(self) -> int:
        """Items per update: never more than there are."""
        return min(self.batch_size, self.items)

    @property
    def epoch_steps(self) -> int:
        """Updates per pass over the items."""
        return self.items // self.batch


@dataclass(slots=True)
class _State:
    """Where a phase stands. `best` and `best_value` are the selected weights so far."""

    step: int = 0
    best_step: int = 0
    best_value: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    curve: list[tuple[int, str, float]] = field(default_factory=list)


# ------------------------------------------------------------------------------------- device and seed
def resolve_device(wanted: str) -> str:
    """ "auto", "cpu" or "cuda" -> "cpu" or "cuda".

    Raises:
        PrerequisiteError: CUDA is asked for and not there.
    """
    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise PrerequisiteError(
            "no CUDA device can be used",
            expected="an NVIDIA GPU, its driver, and a PyTorch built for CUDA",
            todo="use --device cpu (or --device auto, which takes a GPU where there is one)",
        )
    return "cpu"


def describe_device(device: str) -> str:
    """The machine in words: name of the GPU, or of the processor and its cores for PyTorch."""
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    return f"CPU {platform.machine()}, {torch.get_num_threads()} threads"


def seed_everything(*parts: object) -> None:
    """Seeds PyTorch's generators from any values; call it before a module is initialised."""
    torch.manual_seed(_seed(*parts))


def _seed(*parts: object) -> int:
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def keep_freed_memory() -> None:
    """Lets glibc keep freed blocks in this process instead of handing each back to the system.

    A step on the CPU frees and takes again some hundred MB of gradients; the page faults cost three quarters of
    its time (measured on 2 cores: 380 -> 98 ms backward, 660 -> 143 ms optimiser, 19 M parameters).
    """
    m_trim_threshold, m_mmap_max = -1, -4
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)


# ------------------------------------------------------------------------------------------ validation
def carve_validation(
    ids: Sequence[str], labels: NDArray[np.int64], groups: Sequence[str], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divides training items into those to train on and those to select a model with.

    Held out are 5,000 items, or 10 % if that is fewer, class by class, in the order of a seeded hash. Items of
    one group stay together. No class loses its last training item.

    Returns:
        Positions of the training items and of the validation items, both sorted; the latter may be empty.
    """
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])
    left = np.bincount(labels)
    share = min(VALIDATION_ITEMS, len(ids) // 10) / max(len(ids), 1)
    wanted = np.floor(left * share + 0.5).astype(int)
    taken = np.zeros_like(wanted)
    held_out: list[NDArray[np.int64]] = []
    for group in sorted(members, key=lambda group: _seed(seed, "validation", min(ids[i] for i in group))):
        if (taken >= wanted).all():
            break
        counts = np.bincount(labels[group], minlength=len(left))
        short = (counts > 0) & (taken < wanted)
        # A whole group may overshoot, but only while every class that it touches still has too few.
        if short[counts > 0].all() and ((left - counts)[counts > 0] > 0).all():
            held_out.append(group)
            taken += counts
            left = left - counts
    chosen = np.sort(np.concatenate(held_out)) if held_out else np.empty(0, dtype=np.int64)
    return np.setdiff1d(np.arange(len(ids)), chosen), chosen


# ---------------------------------------------------------------------------------------------- the loop
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
        _load_final(final, phase, run)
        return
    final.unlink(missing_ok=True)
    if run.device == "cpu":
        keep_freed_memory()
    seed_everything(run.seed, phase.name)
    optimiser, state = make_optimiser(phase.module, phase.optimiser), _State()
    if run.resume and partial.is_file():
        _load_partial(partial, phase, run, optimiser, state)
        run.report(f"{phase.name}: goes on at step {state.step} of {phase.steps}")
    with _Curves(phase, run, state) as curves, _stop_requests() as stop_requested:
        _steps(phase, run, optimiser, state, curves, partial, stop_requested)
    phase.module.load_state_dict(state.best)
    phase.module.eval()
    _save_final(final, phase, run, state)
    partial.unlink(missing_ok=True)


def _steps(
    phase: Phase, run: Run, optimiser: torch.optim.Optimizer, state: _State,
    curves: _Curves, partial: Path, stop_requested: Callable[[], bool],
) -> None:  # fmt: skip
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
            run.report(
                f"{phase.name}: step {state.step} of {phase.steps}, loss {float(losses['loss']):.4g}, "
                f"{now - started:.0f} s, about {done * (phase.steps - state.step):.0f} s left"
            )
            reported = now
        if not last and (stop_requested() or now - saved >= CHECKPOINT_EVERY_S):
            curves.flush()
            _save_partial(partial, phase, run, optimiser, state)
            saved = now
        if stop_requested():
            run.report(f"{phase.name}: stopped at step {state.step}; --resume goes on from here")
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
    return losses


def batch_positions(phase: Phase, seed: int, step: int) -> Tensor:
    """Positions of batch number `step`, int64 (B,): each epoch is a permutation of its own."""
    epoch, index = divmod(step, phase.epoch_steps)
    random = torch.Generator().manual_seed(_seed(seed, phase.name, "order", epoch))
    order = torch.randperm(phase.items, generator=random)
    return order[index * phase.batch : (index + 1) * phase.batch]


def learning_rate(optimiser: Optimiser, step: int, steps: int) -> float:
    """Learning rate of an update: linear warm-up, then constant or a cosine that ends at zero."""
    if step < optimiser.warmup_steps:
        return optimiser.learning_rate * (step + 1) / optimiser.warmup_steps
    if optimiser.schedule == "constant":
        return optimiser.learning_rate
    progress = (step - optimiser.warmup_steps) / max(steps - optimiser.warmup_steps, 1)
    return optimiser.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))


def make_optimiser(module: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """The optimiser of a module's trainable parameters; weight decay on conv and FC weights only."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = settings.learning_rate
    if settings.name == "adam":
        return torch.optim.Adam(groups, lr=rate)
    if settings.name == "rmsprop-torch":
        return torch.optim.RMSprop(groups, lr=rate, momentum=settings.momentum)
    optimiser: torch.optim.Optimizer = timm.optim.RMSpropTF(
        groups, lr=rate, alpha=0.9, eps=1e-10, momentum=settings.momentum
    )
    return optimiser


def _record(phase: Phase, run: Run, curves: _Curves, state: _State, values: Mapping[str, float]) -> None:
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


def _select(phase: Phase, run: Run, curves: _Curves, state: _State) -> None:
    """Validates, and keeps the weights if they are the best so far (or if nothing is held out)."""
    value = -math.inf
    if phase.validate is not None:
        phase.module.eval()
        with torch.no_grad():
            values = dict(phase.validate())
        phase.module.train()
        curves.add(state.step, {f"validation-{key}": number for key, number in values.items()})
        value = values["selection"]
        run.report(f"{phase.name}: step {state.step}, validation {value:.4g}")
    if value < state.best_value:
        weights = phase.module.state_dict()
        state.best = {key: tensor.detach().cpu().clone() for key, tensor in weights.items()}
        state.best_step, state.best_value = state.step, value


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM let the step at hand end, so that its checkpoint is whole; a second one stops at once."""
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


# ------------------------------------------------------------------------------------------ checkpoints
def _save_partial(path: Path, phase: Phase, run: Run, optimiser: torch.optim.Optimizer, state: _State) -> None:
    content = {
        "about": json.dumps(_about(phase, run, state)),
        "module": phase.module.state_dict(),
        "best": state.best,
        "optimiser": optimiser.state_dict(),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if run.device == "cuda" else [],
    }
    with replacing(path) as temporary, temporary.open("wb") as handle:
        torch.save(content, handle)


def _load_partial(path: Path, phase: Phase, run: Run, optimiser: torch.optim.Optimizer, state: _State) -> None:
    content = _readable(path, lambda: torch.load(path, map_location="cpu", weights_only=True))
    about = json.loads(content["about"])
    _check_fingerprint(path, about, run)
    phase.module.load_state_dict(content["module"])
    optimiser.load_state_dict(content["optimiser"])
    torch.set_rng_state(content["random"])
    if run.device == "cuda" and content["random_cuda"]:
        torch.cuda.set_rng_state_all(content["random_cuda"])
    state.step, state.best_step, state.best = about["step"], about["best_step"], content["best"]
    state.best_value = math.inf if about["best_value"] is None else about["best_value"]


def _save_final(path: Path, phase: Phase, run: Run, state: _State) -> None:
    weights = {key: tensor.contiguous() for key, tensor in state.best.items()}
    write_bytes(path, safetensors.torch.save(weights, {"about": json.dumps(_about(phase, run, state))}))


def _load_final(path: Path, phase: Phase, run: Run) -> None:
    with _readable(path, lambda: safe_open(path, framework="pt")) as file:
        _check_fingerprint(path, json.loads(file.metadata()["about"]), run)
        phase.module.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    phase.module.eval()
    run.report(f"{phase.name}: trained before, taken from {path.name}")


def _about(phase: Phase, run: Run, state: _State) -> dict[str, Any]:
    """What a checkpoint is: of which training, how far, and which items selected it."""
    best = state.best_value if math.isfinite(state.best_value) else None
    return {
        "schema": "xmbench/checkpoint/1", "phase": phase.name, "step": state.step, "steps": phase.steps,
        "best_step": state.best_step, "best_value": best, "seed": run.seed,
        "fingerprint": dict(run.fingerprint), "validation_ids": list(phase.validation_ids),
    }  # fmt: skip


def _check_fingerprint(path: Path, about: Mapping[str, Any], run: Run) -> None:
    now = {**run.fingerprint, "seed": str(run.seed)}
    then = {**about["fingerprint"], "seed": str(about["seed"])}
    changed = sorted(key for key in now | then if now.get(key) != then.get(key))
    if changed:
        raise OutputError(
            "the checkpoint belongs to another training", where=path, expected="the same settings and data",
            problems=[f"{key}: {then.get(key, 'none')} then, {now.get(key, 'none')} now" for key in changed],
            todo="another --out, or the settings and the data of that training",
        )  # fmt: skip


def _readable(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:  # torch and safetensors raise a dozen kinds for a damaged file
        raise OutputError(
            f"the checkpoint cannot be read ({str(error)[:200]})", where=path,
            todo="remove this file and run again with --resume: only this phase is trained again",
        ) from error  # fmt: skip


# ---------------------------------------------------------------------------------------------- curves
class _Curves:
    """Losses by step in `curves.csv` (columns phase, step, name, value) and for TensorBoard."""

    def __init__(self, phase: Phase, run: Run, state: _State) -> None:
        self._phase, self._path = phase.name, make_folder(run.folder) / "curves.csv"
        self._rows: list[tuple[str, int, str, float]] = []
        if run.resume and self._path.is_file():
            with self._path.open(newline="") as handle:
                rows = [(row[0], int(row[1]), row[2], float(row[3])) for row in list(csv.reader(handle))[1:]]
            # Steps after the checkpoint are about to be repeated.
            self._rows = [row for row in rows if row[0] != phase.name or row[1] <= state.step]
        # Imported here: TensorBoard takes a second to import, and only a training needs it.
        from torch.utils.tensorboard import SummaryWriter

        self._board = SummaryWriter(str(run.folder / "curves" / phase.name), purge_step=state.step + 1)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Adds values of one step."""
        for name, value in values.items():
            self._rows.append((self._phase, step, name, value))
            self._board.add_scalar(name, value, step)

    def flush(self) -> None:
        """Writes the table whole."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["phase", "step", "name", "value"])
        writer.writerows(self._rows)
        write_text(self._path, stream.getvalue())
        self._board.flush()

    def __enter__(self) -> _Curves:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self._board.close()
