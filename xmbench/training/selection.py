"""Which weights of a phase are kept, and the end of a training whose losses, validation or weights are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from xmbench.errors import CheckError, DocumentError
from xmbench.interfaces import Run
from xmbench.training.averaging import averaged
from xmbench.training.curves import Curves
from xmbench.training.device import autocast
from xmbench.training.phase import Phase, State
from xmbench.training.processes import Processes


def record(
    phase: Phase, run: Run, curves: Curves, state: State, losses: Mapping[str, Tensor], processes: Processes
) -> None:
    """Adds losses to the curves; raises CheckError if one of them is not finite."""
    values = processes.mean({name: float(value) for name, value in losses.items()})
    curves.add(state.step, values)
    for name, value in values.items():
        if not math.isfinite(value):
            what = "the loss" if name == "loss" else f"the loss '{name}' ="
            raise _diverged(phase, run, curves, f"has {what} {value} at step {state.step}", "a finite loss")


def select(phase: Phase, run: Run, curves: Curves, state: State, processes: Processes) -> None:
    """Validates, and keeps the weights if they are the best so far (or if nothing is held out).

    Raises:
        CheckError: a value of the validation, or a weight that would be kept, is not finite.
        DocumentError: the validation gives no value to select by.
    """
    value = -math.inf
    processes.average_buffers(phase.module)
    with averaged(phase, state):
        if phase.validate is not None:
            value = _validated(phase, run, curves, state, processes)
        if value < state.best_value:
            if not _finite(phase.module):
                how = f"has weights that are not finite at step {state.step}"
                raise _diverged(phase, run, curves, how, "finite weights")
            _keep(phase, state)
            state.best_step, state.best_value, state.waited = state.step, value, 0
        else:
            state.waited += 1


def _validated(phase: Phase, run: Run, curves: Curves, state: State, processes: Processes) -> float:
    """The value that selects; all values of the validation go to the curves."""
    assert phase.validate is not None
    phase.module.eval()
    with torch.no_grad(), autocast(run.device, phase.precision):
        found = {name: float(value) for name, value in phase.validate().items()}
    values: dict[str, float] = processes.agreed(found)
    phase.module.train()
    curves.add(state.step, {f"validation-{name}": value for name, value in values.items()})
    if "selection" not in values:
        raise DocumentError(
            f"the validation of {phase.name} gives no value to select by",
            expected='a value named "selection", the lower the better',
            todo="change the model's `validate`: it gives " + (", ".join(values) or "nothing"),
        )
    for name, value in values.items():
        if not math.isfinite(value):
            what = "" if name == "selection" else f"'{name}' = "
            raise _diverged(
                phase, run, curves, f"is validated with {what}{value} at step {state.step}", "finite values"
            )
    run.progress(f"{phase.name}: step {state.step}, validation {values['selection']:.4g}")
    return values["selection"]


def _finite(module: torch.nn.Module) -> bool:
    return all(bool(torch.isfinite(parameter).all()) for parameter in module.parameters())


def _keep(phase: Phase, state: State) -> None:
    """Copies the weights to the host, reusing the memory of earlier copies."""
    for key, tensor in phase.module.state_dict().items():
        if key in state.best:
            state.best[key].copy_(tensor.detach())
        else:
            state.best[key] = tensor.detach().to("cpu", copy=True)


def _diverged(phase: Phase, run: Run, curves: Curves, how: str, expected: str) -> CheckError:
    curves.flush()
    return CheckError(
        f"the training diverged: {phase.name} {how}",
        where=run.folder,
        expected=expected,
        todo="use a lower learning rate, or clip the gradient (--set NAME=VALUE)",
    )
