"""Checkpoints: written whole or not at all, and only taken up by the training that they belong to."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import safe_open

from xmbench.errors import OutputError
from xmbench.interfaces import Run
from xmbench.storage.files import replacing, write_bytes
from xmbench.training.phase import Phase, State


def save_partial(path: Path, phase: Phase, run: Run, optimiser: torch.optim.Optimizer, state: State) -> None:
    """Writes a phase under way."""
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


def load_partial(path: Path, phase: Phase, run: Run, optimiser: torch.optim.Optimizer, state: State) -> None:
    """Takes up a phase under way; raises OutputError if it is damaged or of another training."""
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


def save_final(path: Path, phase: Phase, run: Run, state: State) -> None:
    """Writes the selected weights of a finished phase."""
    weights = {key: tensor.contiguous() for key, tensor in state.best.items()}
    write_bytes(path, safetensors.torch.save(weights, {"about": json.dumps(_about(phase, run, state))}))


def load_final(path: Path, phase: Phase, run: Run) -> None:
    """Loads the weights of a finished phase; raises OutputError like `load_partial`."""
    with _readable(path, lambda: safe_open(path, framework="pt")) as file:
        _check_fingerprint(path, json.loads(file.metadata()["about"]), run)
        phase.module.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
    phase.module.eval()
    run.progress(f"{phase.name}: trained before, taken from {path.name}")


def _about(phase: Phase, run: Run, state: State) -> dict[str, Any]:
    """What a checkpoint is: of which training, how far, and which items selected it."""
    best = state.best_value if math.isfinite(state.best_value) else None
    return {
        "schema": "xmbench/checkpoint/1",
        "phase": phase.name,
        "step": state.step,
        "steps": phase.steps,
        "best_step": state.best_step,
        "best_value": best,
        "seed": run.seed,
        "fingerprint": dict(run.fingerprint),
        "validation_ids": list(phase.validation_ids),
    }


def _check_fingerprint(path: Path, about: Mapping[str, Any], run: Run) -> None:
    now = {**run.fingerprint, "seed": str(run.seed)}
    then = {**about["fingerprint"], "seed": str(about["seed"])}
    changed = sorted(key for key in now | then if now.get(key) != then.get(key))
    if changed:
        raise OutputError(
            "the checkpoint belongs to another training",
            where=path,
            expected="the same settings and data",
            problems=[f"{key}: {then.get(key, 'none')} then, {now.get(key, 'none')} now" for key in changed],
            todo="another --out, or the settings and the data of that training",
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
