"""How a training ends before its last step: a time limit, patience, values that are not finite, too little memory."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from xmbench.errors import CheckError, DocumentError, PrerequisiteError, UnfinishedError
from xmbench.interfaces import PhaseProgress, Run
from xmbench.training import Optimiser, Phase, Update, require_bf16, seed_everything, train
from xmbench.training.phase import batch_positions
from xmbench.training.progress import whole_share

STEPS = 24


def run_in(folder: Path, **more: Any) -> Run:
    return replace(Run(folder, 3, "cpu", False, lambda _line: None, {}), **more)


def phase_of(
    name: str = "fit",
    steps: int = STEPS,
    validate: Callable[[int], Mapping[str, float]] | None = None,
    loss: Callable[[Tensor], Mapping[str, Tensor]] | None = None,
    **more: Any,
) -> Phase:
    """A regression with dropout; `validate` gets the number of the validation, 1, 2, ..."""
    seed_everything("data", name)
    inputs, wanted, count = torch.randn(40, 5), torch.randn(40, 2), [0]
    net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 2))

    def own(positions: Tensor) -> Mapping[str, Tensor]:
        return {"loss": (net(inputs[positions]) - wanted[positions]).square().mean()}

    def numbered() -> Mapping[str, float]:
        count[0] += 1
        return validate(count[0]) if validate else {}

    update = Update(net, Optimiser(learning_rate=0.05, warmup_steps=3), loss or own)
    return Phase(name, net, 40, steps, 8, (update,), numbered if validate else None, 5, **more)


def weights(phase: Phase) -> list[Tensor]:
    return [tensor.clone() for tensor in phase.module.state_dict().values()]


def about(folder: Path, name: str = "fit") -> dict[str, Any]:
    with safe_open(folder / "checkpoints" / f"{name}.safetensors", framework="pt") as file:
        found: dict[str, Any] = json.loads(file.metadata()["about"])
    return found


# ------------------------------------------------------------------------------------------------ time limit
def test_pieces_under_a_time_limit_end_with_the_same_weights(tmp_path: Path) -> None:
    whole = phase_of()
    train(whole, run_in(tmp_path / "whole"))
    for step in range(1, STEPS):  # a limit that has passed: every piece takes one step
        with pytest.raises(UnfinishedError, match=f"at step {step} of {STEPS}") as caught:
            train(phase_of(), run_in(tmp_path / "pieces", resume=True, stop_at=time.monotonic()))
        assert caught.value.exit_code == 3
        assert "--resume" in str(caught.value)
    last = phase_of()
    train(last, run_in(tmp_path / "pieces", resume=True, stop_at=time.monotonic()))
    assert all(map(torch.equal, weights(whole), weights(last)))


def test_a_limit_leaves_time_for_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmbench.training.checkpoints.WRITTEN_PER_S", 1.0)  # so that 66 weights take 17 minutes
    with pytest.raises(UnfinishedError, match="at step 1 "):
        train(phase_of(), run_in(tmp_path, stop_at=time.monotonic() + 600))
    train(phase_of(), run_in(tmp_path / "other", stop_at=time.monotonic() + 6000))


# -------------------------------------------------------------------------------------------------- patience
def test_a_phase_ends_when_the_validation_does_not_improve(tmp_path: Path) -> None:
    values = {1: 3.0, 2: 1.0, 3: 2.0, 4: 1.0}
    lines: list[str] = []
    run = run_in(tmp_path, progress=lines.append)
    train(phase_of(steps=40, validate=lambda n: {"selection": values[n]}, patience=2), run)
    assert run.phases["fit"] == PhaseProgress(40, done=20, selected=10, parameters=66)
    found = about(tmp_path)
    assert (found["step"], found["steps"], found["best_step"], found["patience"]) == (20, 40, 10, 2)
    assert any("stopped early at step 20 of 40" in line and "step 10 are kept" in line for line in lines)


def test_patience_is_counted_over_pieces(tmp_path: Path) -> None:
    run = run_in(tmp_path, resume=True)
    for _ in range(11):
        with pytest.raises(UnfinishedError):
            train(
                phase_of(steps=40, validate=lambda _: {"selection": 1.0}, patience=2),
                replace(run, stop_at=time.monotonic()),
            )
    train(phase_of(steps=40, validate=lambda _: {"selection": 1.0}, patience=2), run)
    assert run.phases["fit"].done == 15
    assert about(tmp_path)["best_step"] == 5


# ------------------------------------------------------------------------------------- values that are not finite
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"selection": float("nan")}, "validated with nan at step 5"),
        ({"selection": float("inf")}, "validated with inf at step 5"),
        ({"selection": 1.0, "perception": float("nan")}, "validated with 'perception' = nan at step 5"),
    ],
)
def test_a_validation_that_is_not_finite_ends_the_training_at_once(
    tmp_path: Path, values: Mapping[str, float], message: str
) -> None:
    with pytest.raises(CheckError, match="diverged") as caught:
        train(phase_of(validate=lambda _: values), run_in(tmp_path))
    assert message in str(caught.value)
    assert "validation-selection" in (tmp_path / "curves.csv").read_text()
    assert not (tmp_path / "checkpoints" / "fit.safetensors").exists()


def test_a_validation_that_is_not_finite_at_the_last_step(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=f"nan at step {STEPS}"):
        train(phase_of(validate=lambda n: {"selection": float("nan") if n == 5 else 1.0}), run_in(tmp_path))


@pytest.mark.parametrize("held_out", [True, False])
def test_weights_that_are_not_finite_are_never_kept(tmp_path: Path, held_out: bool) -> None:
    """The square root of 0 is finite, its gradient is not; a validation need not see it."""
    net: list[nn.Module] = []

    def root(_positions: Tensor) -> Mapping[str, Tensor]:
        weight = next(net[0].parameters())
        return {"loss": (weight * 0.0).sum().abs().sqrt()}

    phase = phase_of(steps=1, loss=root, validate=(lambda _: {"selection": 1.0}) if held_out else None)
    net.append(phase.module)
    with pytest.raises(CheckError, match="weights that are not finite at step 1"):
        train(phase, run_in(tmp_path))
    assert not (tmp_path / "checkpoints" / "fit.safetensors").exists()


def test_one_loss_of_several_that_is_not_finite_is_named(tmp_path: Path) -> None:
    net: list[nn.Module] = []

    def two(_positions: Tensor) -> Mapping[str, Tensor]:
        total = next(net[0].parameters()).square().sum()
        return {"loss": total, "perception": total * float("inf")}

    phase = phase_of(loss=two)
    net.append(phase.module)
    with pytest.raises(CheckError, match="the loss 'perception' = inf at step 10"):
        train(phase, run_in(tmp_path))


def test_a_model_without_the_values_that_the_loop_needs_is_told_which(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="no value to select by") as caught:
        train(phase_of(validate=lambda _: {"error": 1.0}), run_in(tmp_path))
    assert "it gives error" in str(caught.value)
    with pytest.raises(DocumentError, match="none to minimise"):
        train(phase_of(loss=lambda _: {"total": torch.zeros(())}), run_in(tmp_path))


# ---------------------------------------------------------------------------------------- memory and precision
@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_out_of_memory_names_the_batch_and_the_setting(tmp_path: Path, error: Exception) -> None:
    def full(_positions: Tensor) -> Mapping[str, Tensor]:
        raise error

    with pytest.raises(PrerequisiteError, match="out of memory while training fit with batches of 8") as caught:
        train(phase_of(loss=full, batch_setting="joint_batch"), run_in(tmp_path))
    assert "--set joint_batch=4 instead of 8" in str(caught.value)


def test_a_gpu_that_only_emulates_bf16_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Tesla V100")
    with pytest.raises(PrerequisiteError, match="bf16") as caught:
        require_bf16("cuda")
    assert caught.value.where == "Tesla V100"
    require_bf16("cpu")


# ------------------------------------------------------------------------------------------ progress and order
def test_progress_is_over_all_phases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmbench.training.loop.REPORT_EVERY_S", 0.0)
    lines: list[str] = []
    run = run_in(tmp_path, status=lines.append)
    run.phases.update(first=PhaseProgress(10), second=PhaseProgress(10, cost=3.0))
    train(phase_of("first", 10), run)
    assert lines[4].startswith("[###.....................]  12%  first: step 5 of 10, loss ")
    assert lines[9].startswith("[######..................]  25%  first: step 10 of 10")
    train(phase_of("second", 10), run)
    assert lines[14].startswith("[###############.........]  62%  second: step 5 of 10")
    assert lines[-1].startswith("[########################] 100%  second: step 10 of 10")
    assert lines[-1].endswith("about 0 s left")


def test_without_a_terminal_lines_come_at_a_calm_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def second() -> float:
        clock[0] += 5.0
        return clock[0]

    monkeypatch.setattr("xmbench.training.progress.time.monotonic", second)
    lines: list[str] = []
    train(phase_of("slow", 400), run_in(tmp_path, progress=lines.append))
    assert 40 < len(lines) < 80
    assert "of the training" in lines[0]


def test_a_finished_or_early_phase_counts_as_done() -> None:
    phases = {"a": PhaseProgress(100, done=40, selected=20), "b": PhaseProgress(100)}
    assert whole_share(phases) == 0.5
    assert whole_share({}) == 1.0


def test_the_order_of_an_epoch_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    permutation = torch.randperm

    def counted(items: int, **options: Any) -> Tensor:
        drawn.append(items)
        return permutation(items, **options)

    monkeypatch.setattr("torch.randperm", counted)
    read: list[Tensor] = []
    phase = phase_of("order drawn once", 15, ahead=read.append)
    train(phase, run_in(tmp_path))
    assert drawn == [40, 40, 40]
    assert len(read) == 14
    first = torch.cat([batch_positions(phase, 3, step) for step in range(5)])
    assert sorted(first.tolist()) == list(range(40))
