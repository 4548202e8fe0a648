"""Checkpoints: written completely or not at all, and resumed only by the training that they belong to."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

from xmbench.errors import OutputError
from xmbench.interfaces import Run
from xmbench.storage.files import replacing, write_bytes
from xmbench.training.phase import Phase, State
from xmbench.training.processes import Processes

SCHEMA = "xmbench/checkpoint/2"  # of an unfinished phase; version 1 had one optimiser
EVERY_S = 60.0
SHARE = 0.04  # of the time may go into writing them
WRITTEN_PER_S = 250e6  # bytes: assumed until the first checkpoint has been timed


class Timer:
    """Says when the next checkpoint is due: once a minute, or less often where writing one takes long."""

    def __init__(self, phase: Phase, state: State) -> None:
        # Weights, the selected ones, their mean, and two moments of an optimiser.
        size = sum(p.numel() * p.element_size() for p in phase.module.parameters())
        self._cost = size * (4 + bool(phase.average)) / WRITTEN_PER_S
        self._saved = time.monotonic()

    def late(self, stop_at: float | None) -> bool:
        """Whether the time left until a limit is no more than a checkpoint takes."""
        return stop_at is not None and time.monotonic() + self._cost >= stop_at

    def due(self) -> bool:
        """Whether enough time has passed since the last one."""
        return time.monotonic() - self._saved >= max(EVERY_S, self._cost / SHARE)

    def write(self, save: Callable[[], None]) -> None:
        """Writes one, and remembers how long that took."""
        started = time.monotonic()
        save()
        self._saved = time.monotonic()
        self._cost = self._saved - started


def save_partial(path: Path, phase: Phase, run: Run, state: State, processes: Processes) -> None:
    """Writes an unfinished phase; every process calls it, the first one writes.

    Raises:
        OutputError: the directory cannot be written, or the disk is full.
    """
    processes.average_buffers(phase.module)
    cuda = run.device == "cuda"
    random = processes.gather((torch.get_rng_state(), torch.cuda.get_rng_state() if cuda else None))
    if not processes.first:
        return
    content = {
        "about": json.dumps(_about(phase, run, state) | {"processes": processes.size}),
        "module": phase.module.state_dict(),
        "best": state.best,
        "average": state.average,
        "optimisers": [optimiser.state_dict() for optimiser in state.optimisers],
        "random": [host for host, _ in random],
        "random_cuda": [device for _, device in random if device is not None],
    }
    with replacing(path) as temporary, temporary.open("wb") as handle:
        torch.save(content, handle)


def load_partial(path: Path, phase: Phase, run: Run, state: State, processes: Processes) -> None:
    """Loads an unfinished phase to resume it; raises OutputError if the file is damaged or of another training."""
    content = _readable(path, lambda: torch.load(path, map_location="cpu", weights_only=True))
    about = json.loads(content["about"])
    if about["schema"] != SCHEMA:
        raise OutputError(
            "the checkpoint was written by another version of xmbench",
            where=path,
            expected=SCHEMA,
            todo="finish this run with that version, or remove this file: only this phase is trained again",
        )
    _check_fingerprint(path, about, run, {"processes": (about["processes"], processes.size)})
    phase.module.load_state_dict(content["module"])
    for optimiser, saved in zip(state.optimisers, content["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    state.average = {name: tensor.to(run.device) for name, tensor in content["average"].items()}
    torch.set_rng_state(content["random"][processes.rank])
    if run.device == "cuda" and content["random_cuda"]:
        torch.cuda.set_rng_state(content["random_cuda"][processes.rank])
    state.step, state.best_step, state.best = about["step"], about["best_step"], content["best"]
    state.waited = about.get("waited", 0)
    state.best_value = math.inf if about["best_value"] is None else about["best_value"]


def save_weights(path: Path, weights: Mapping[str, Tensor], phase: Phase, run: Run, state: State) -> None:
    """Writes the selected weights of a finished phase, or those of one step, with a description of their training."""
    host = {key: tensor.detach().cpu().contiguous() for key, tensor in weights.items()}
    write_bytes(path, safetensors.torch.save(host, {"about": json.dumps(_about(phase, run, state))}))


def load_weights(path: Path, module: nn.Module, run: Run) -> dict[str, Any]:
    """Loads the weights of a finished phase or of one step; returns their description.

    Raises:
        OutputError: the file is damaged, or of another training.
    """
    with _readable(path, lambda: safe_open(path, framework="pt")) as file:
        about: dict[str, Any] = json.loads(file.metadata()["about"])
        _check_fingerprint(path, about, run)
        module.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    module.eval()
    return about


def load_final(path: Path, phase: Phase, run: Run) -> None:
    """Loads the weights of a finished phase; raises OutputError like `load_partial`."""
    about = load_weights(path, phase.module, run)
    progress = run.phases[phase.name]
    progress.done, progress.selected = about["step"], about["best_step"]
    run.progress(f"{phase.name}: already trained, loaded from {path.name}")


def _about(phase: Phase, run: Run, state: State) -> dict[str, Any]:
    """The description of a checkpoint: its training, its step, and the items that selected it."""
    best = state.best_value if math.isfinite(state.best_value) else None
    return {
        "schema": SCHEMA,
        "phase": phase.name,
        "step": state.step,
        "steps": phase.steps,
        "best_step": state.best_step,
        "best_value": best,
        "waited": state.waited,
        "patience": phase.patience,
        "seed": run.seed,
        "fingerprint": dict(run.fingerprint),
        "validation_ids": list(phase.validation_ids),
    }


def _check_fingerprint(
    path: Path, about: Mapping[str, Any], run: Run, more: Mapping[str, tuple[int, int]] | None = None
) -> None:
    now = {**run.fingerprint, "seed": str(run.seed)}
    before = {**about["fingerprint"], "seed": str(about["seed"])}
    for key, (saved, current) in (more or {}).items():
        before[key], now[key] = str(saved), str(current)
    changed = sorted(key for key in now | before if now.get(key) != before.get(key))
    if changed:
        raise OutputError(
            "the checkpoint belongs to another training",
            where=path,
            expected="the same settings and data",
            problems=[f"{key}: {before.get(key, 'none')} before, {now.get(key, 'none')} now" for key in changed],
            todo="choose another --out, or use the settings and the data of that training",
        )


def _readable(path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as error:  # torch and safetensors raise a dozen kinds for a damaged file
        raise OutputError(
            f"the checkpoint cannot be read ({str(error)[:200]})",
            where=path,
            todo="remove this file and run again with --resume: only this phase is trained again",
        ) from error
