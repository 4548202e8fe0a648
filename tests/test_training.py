"""The training loop: resuming, optimisers, held-out items and errors."""

from __future__ import annotations

import csv
import errno
import itertools
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import timm.optim
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xmbench.errors import CheckError, OutputError, PrerequisiteError
from xmbench.interfaces import Run
from xmbench.training import Optimiser, Phase, Update, carve_validation, resolve_device, seed_everything, train
from xmbench.training.optimisers import learning_rate, make_optimiser
from xmbench.training.phase import batch_positions

STEPS = 24


def run_in(folder: Path, resume: bool = False, seed: int = 3, **fingerprint: str) -> Run:
    return Run(folder, seed, "cpu", resume, lambda _line: None, fingerprint)


def phase_of(steps: int = STEPS, after: Callable[[int], None] | None = None, rate: float = 0.05) -> Phase:
    """A small regression with dropout and batch normalisation, so that every kind of state matters."""
    seed_everything("data")
    inputs, wanted = torch.randn(40, 5), torch.randn(40, 2)
    net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 2))
    calls = [0]

    def loss(positions: Tensor) -> Mapping[str, Tensor]:
        calls[0] += 1
        if after:
            after(calls[0])
        return {"loss": (net(inputs[positions]) - wanted[positions]).square().mean()}

    def validate() -> Mapping[str, float]:
        return {"selection": float((net(inputs) - wanted).square().mean().detach())}

    optimiser = Optimiser(learning_rate=rate, weight_decay=1e-3, warmup_steps=3)
    return Phase("fit", net, 40, steps, 8, (Update(net, optimiser, loss),), validate, 5, validation_ids=("a", "b"))


def weights(phase: Phase) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in phase.module.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def interrupted(step: int, number: signal.Signals = signal.SIGINT) -> Callable[[int], None]:
    return lambda call: os.kill(os.getpid(), number) if call == step else None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 7, 20])
def test_interrupted_and_resumed_gives_the_same_weights(tmp_path: Path, step: int, number: signal.Signals) -> None:
    whole = phase_of()
    train(whole, run_in(tmp_path / "whole"))
    broken = phase_of(after=interrupted(step, number))
    with pytest.raises(KeyboardInterrupt):
        train(broken, run_in(tmp_path / "broken"))
    assert [path.name for path in (tmp_path / "broken" / "checkpoints").iterdir()] == ["fit.pt"]
    resumed = phase_of()
    train(resumed, run_in(tmp_path / "broken", resume=True))
    assert same(weights(whole), weights(resumed))
    assert (tmp_path / "whole" / "curves.csv").read_text() == (tmp_path / "broken" / "curves.csv").read_text()


def test_killed_after_a_timed_checkpoint_gives_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xmbench.training.checkpoints.EVERY_S", 0.0)
    monkeypatch.setattr("xmbench.training.checkpoints.SHARE", 1e9)

    def die(call: int) -> None:
        if call == 13:
            raise SystemExit  # nothing is saved on the way out, as with SIGKILL

    whole, broken, resumed = phase_of(), phase_of(after=die), phase_of()
    train(whole, run_in(tmp_path / "whole"))
    with pytest.raises(SystemExit):
        train(broken, run_in(tmp_path / "broken"))
    train(resumed, run_in(tmp_path / "broken", resume=True))
    assert same(weights(whole), weights(resumed))


def test_a_finished_phase_is_loaded_and_not_trained_again(tmp_path: Path) -> None:
    first = phase_of()
    train(first, run_in(tmp_path))

    def never(_call: int) -> None:
        raise AssertionError("trained again")

    second = phase_of(after=never)
    train(second, run_in(tmp_path, resume=True))
    assert same(weights(first), weights(second))
    assert not second.module.training


def test_without_resume_it_starts_over(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(phase_of(after=interrupted(4)), run_in(tmp_path))
    fresh, reference = phase_of(), phase_of()
    train(fresh, run_in(tmp_path))
    train(reference, run_in(tmp_path / "other"))
    assert same(weights(fresh), weights(reference))


@pytest.mark.parametrize("finished", [True, False])
def test_checkpoints_of_another_training_are_refused(tmp_path: Path, finished: bool) -> None:
    if finished:
        train(phase_of(), run_in(tmp_path, settings="one", data="x"))
    else:
        with pytest.raises(KeyboardInterrupt):
            train(phase_of(after=interrupted(4)), run_in(tmp_path, settings="one", data="x"))
    with pytest.raises(OutputError, match="another training") as caught:
        train(phase_of(), run_in(tmp_path, resume=True, seed=4, settings="two", data="x"))
    assert caught.value.problems == ("seed: 3 before, 4 now", "settings: one before, two now")


@pytest.mark.parametrize("name", ["fit.pt", "fit.safetensors"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / name).write_bytes(b"half a file")
    with pytest.raises(OutputError, match="cannot be read"):
        train(phase_of(), run_in(tmp_path, resume=True))


def test_divergence_stops_with_a_message(tmp_path: Path) -> None:
    phase = phase_of()

    def nan(_positions: Tensor) -> Mapping[str, Tensor]:
        return {"loss": next(phase.module.parameters()).sum() * float("nan")}

    diverging = Phase("fit", phase.module, 40, STEPS, 8, (Update(phase.module, phase.updates[0].optimiser, nan),))
    with pytest.raises(CheckError, match="diverged"):
        train(diverging, run_in(tmp_path))


def test_a_full_disk_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(OutputError, match="no space left"):
        train(phase_of(after=interrupted(2)), run_in(tmp_path))
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_the_best_validation_is_kept_and_described(tmp_path: Path) -> None:
    from safetensors import safe_open

    phase = phase_of()
    train(phase, run_in(tmp_path))
    with (tmp_path / "curves.csv").open(newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["name"] == "validation-selection"]
    best = min(rows, key=lambda row: float(row["value"]))
    with safe_open(tmp_path / "checkpoints" / "fit.safetensors", framework="pt") as file:
        about = file.metadata()["about"]
    assert f'"best_step": {best["step"]}' in about
    assert '"validation_ids": ["a", "b"]' in about
    assert phase.validate is not None
    assert phase.validate()["selection"] == pytest.approx(float(best["value"]), abs=1e-6)
    assert list((tmp_path / "curves" / "fit").glob("events.*"))


def test_precision_bf16_trains_and_validates_on_a_cpu_too(tmp_path: Path) -> None:
    phase = phase_of()
    inputs, seen = torch.randn(8, 5), []

    def loss(_positions: Tensor) -> Mapping[str, Tensor]:
        made = phase.module(inputs)
        seen.append(made.dtype)
        return {"loss": made.float().square().mean()}

    def validate() -> Mapping[str, float]:
        seen.append(phase.module(inputs).dtype)
        return {"selection": 1.0}

    update = Update(phase.module, phase.updates[0].optimiser, loss)
    train(Phase("fit", phase.module, 40, 2, 8, (update,), validate, precision="bf16"), run_in(tmp_path))
    assert set(seen) == {torch.bfloat16}
    assert all(parameter.dtype == torch.float32 for parameter in phase.module.parameters())


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    with pytest.raises(PrerequisiteError, match="CUDA"):
        resolve_device("cuda")


# ------------------------------------------------------------------------------------------- optimiser
def test_rmsprop_has_tensorflow_semantics() -> None:
    """Ms starts at 1, epsilon inside the root, lr inside the momentum (hand-computed, two steps)."""
    parameter = nn.Parameter(torch.tensor([[2.0]]))
    optimiser = timm.optim.RMSpropTF([parameter], lr=0.1, alpha=0.9, eps=1e-10, momentum=0.9, weight_decay=0.0)
    value, mean_square, momentum = 2.0, 1.0, 0.0
    for gradient, rate in ((3.0, 0.1), (-1.0, 0.05)):
        parameter.grad = torch.tensor([[gradient]])
        optimiser.param_groups[0]["lr"] = rate
        optimiser.step()
        mean_square = 0.9 * mean_square + 0.1 * gradient**2
        momentum = 0.9 * momentum + rate * gradient / (mean_square + 1e-10) ** 0.5
        value -= momentum
        assert parameter.item() == pytest.approx(value, rel=1e-6)


def test_weight_decay_is_coupled_and_spares_norms_and_biases() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    made = make_optimiser(net, Optimiser(weight_decay=4e-4))
    decays = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    for module in net:
        for name, parameter in module.named_parameters(recurse=False):
            decayed = name == "weight" and not isinstance(module, nn.BatchNorm2d)
            assert decays[id(parameter)] == (4e-4 if decayed else 0.0)
    assert not made.param_groups[0]["decoupled_decay"]


def test_weight_decay_adds_its_multiple_of_the_weight_to_the_gradient() -> None:
    """With a zero gradient of the data, mean square 0.9 and no momentum: W - lr * 4e-4 W / sqrt(0.9 + tiny)."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 2.0)
    made = make_optimiser(layer, Optimiser(learning_rate=1.0, weight_decay=4e-4, momentum=0.0))
    layer.weight.grad = torch.zeros(1, 1)
    made.step()
    gradient = 4e-4 * 2.0
    assert layer.weight.item() == pytest.approx(2.0 - gradient / (0.9 + 0.1 * gradient**2) ** 0.5, rel=1e-6)


def test_learning_rate_rises_then_falls_to_zero() -> None:
    rates = [learning_rate(Optimiser(learning_rate=1.0, warmup_steps=4), step, 20) for step in range(21)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[20] == pytest.approx(0.0)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[4:]))
    constant = Optimiser(learning_rate=0.5, schedule="constant")
    assert {learning_rate(constant, step, 20) for step in range(20)} == {0.5}


def test_an_epoch_sees_each_item_once_and_epochs_differ() -> None:
    phase = phase_of()
    epochs = [torch.cat([batch_positions(phase, 1, epoch * 5 + i) for i in range(5)]) for epoch in range(2)]
    assert all(sorted(epoch.tolist()) == list(range(40)) for epoch in epochs)
    assert not torch.equal(*epochs)


# ------------------------------------------------------------------------------------------ validation
@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=120), st.integers(0, 99), st.booleans())
def test_held_out_items_are_disjoint_stratified_and_keep_groups(labels: list[int], seed: int, shared: bool) -> None:
    ids = [f"item-{i}" for i in range(len(labels))]
    groups = [f"group-{i // 4}" if shared else ids[i] for i in range(len(ids))]
    known = np.array(labels, dtype=np.int64)
    rows, held_out = carve_validation(ids, known, groups, seed)
    assert sorted([*rows, *held_out]) == list(range(len(ids)))
    assert {groups[i] for i in rows}.isdisjoint(groups[i] for i in held_out)
    assert set(known[held_out]) <= set(known[rows])
    if not shared:
        share = (len(ids) // 10) / len(ids)
        counts = np.bincount(known[held_out], minlength=5)
        assert all(abs(count - share * (known == k).sum()) <= 1 for k, count in enumerate(counts))


def test_held_out_items_do_not_depend_on_order() -> None:
    ids = [f"item-{i}" for i in range(200)]
    labels = np.arange(200) % 10
    _, first = carve_validation(ids, labels, ids, 0)
    _, second = carve_validation(ids[::-1], labels[::-1], ids[::-1], 0)
    assert {ids[i] for i in first} == {ids[::-1][i] for i in second}
    assert np.bincount(labels[first]).tolist() == [2] * 10


def test_a_speaker_who_says_every_word_is_held_out_completely() -> None:
    ids = [f"item-{i}" for i in range(200)]
    groups = [f"speaker-{i // 20}" for i in range(200)]
    _, held_out = carve_validation(ids, np.arange(200) % 10, groups, 0)
    assert len(held_out) == 20
    assert len({groups[i] for i in held_out}) == 1
