"""Several updates in one step: which learns when, what is kept, and that a pair resumes to the bit."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from xmbench.errors import CheckError, OutputError, PrerequisiteError
from xmbench.interfaces import Run
from xmbench.training import Optimiser, Phase, Update, computing, place, seed_everything, train
from xmbench.training.checkpoints import Timer
from xmbench.training.optimisers import learning_rate, make_optimiser
from xmbench.training.phase import State


def run_in(folder: Path, resume: bool = False) -> Run:
    return Run(folder, 3, "cpu", resume, lambda _line: None, {"data": "x"})


def pair(after: Callable[[int], None] | None = None, **changes: Any) -> Phase:
    """A generator and a discriminator, noise from the global generator, averaged weights, snapshots."""
    seed_everything("pair")
    data = torch.randn(40, 2) * 0.3 + 1.0
    both = nn.ModuleDict(
        {
            "g": nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2)),
            "d": nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1)),
        }
    )
    g, d, calls = both["g"], both["d"], [0]
    bce = nn.functional.binary_cross_entropy_with_logits

    def critic(positions: Tensor) -> Mapping[str, Tensor]:
        calls[0] += 1
        if after:
            after(calls[0])
        assert not any(parameter.requires_grad for parameter in g.parameters())
        drawn = d(g(torch.randn(len(positions), 3)))
        real = d(data[positions])
        return {"loss": bce(real, torch.ones_like(real)) + bce(drawn, torch.zeros_like(drawn))}

    def maker(positions: Tensor) -> Mapping[str, Tensor]:
        assert not any(parameter.requires_grad for parameter in d.parameters())
        said = d(g(torch.randn(len(positions), 3)))
        return {"loss": bce(said, torch.ones_like(said)), "certainty": said.sigmoid().mean()}

    adam = Optimiser("adam", 5e-3, schedule="constant", betas=(0.5, 0.999))
    updates = (Update(d, adam, critic, "d"), Update(g, adam, maker, "g", every=3))
    settings: dict[str, Any] = {"average": 0.9, "snapshot_every": 10, **changes}
    return Phase("pair", both, 40, 30, 8, updates, **settings)


def weights(phase: Phase) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in phase.module.state_dict().items()}


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def interrupted(step: int) -> Callable[[int], None]:
    return lambda call: os.kill(os.getpid(), signal.SIGINT) if call == step else None


@pytest.mark.parametrize("step", [1, 8, 21])
def test_an_adversarial_pair_resumes_with_the_same_weights(tmp_path: Path, step: int) -> None:
    whole, broken, resumed = pair(), pair(interrupted(step)), pair()
    train(whole, run_in(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(broken, run_in(tmp_path / "broken"))
    train(resumed, run_in(tmp_path / "broken", resume=True))
    assert same(weights(whole), weights(resumed))
    assert (tmp_path / "whole" / "curves.csv").read_text() == (tmp_path / "broken" / "curves.csv").read_text()
    for step_kept in (10, 20, 30):
        name = f"checkpoints/pair-{step_kept}.safetensors"
        assert same(load_file(tmp_path / "whole" / name), load_file(tmp_path / "broken" / name))


def test_curves_name_the_losses_of_each_update_and_their_sum(tmp_path: Path) -> None:
    train(pair(), run_in(tmp_path))
    rows = [line.split(",") for line in (tmp_path / "curves.csv").read_text().splitlines()[1:]]
    at_ten = {name: float(value) for _, step, name, value in rows if step == "10"}
    assert set(at_ten) == {"loss", "d-loss", "g-loss", "g-certainty"}  # step 9, counted from 0, is one of every three
    assert at_ten["loss"] == pytest.approx(at_ten["d-loss"] + at_ten["g-loss"], rel=1e-6)
    assert {name for _, step, name, _ in rows if step == "20"} == {"loss", "d-loss"}


def test_averaged_weights_are_validated_and_kept_while_training_continues_with_its_own(tmp_path: Path) -> None:
    seen: list[dict[str, Tensor]] = []
    plain, mean = pair(average=0.0), pair()

    def validate() -> Mapping[str, float]:
        seen.append({name: p.detach().clone() for name, p in mean.module.named_parameters()})
        return {"selection": -len(seen)}

    averaged = pair(validate=validate, validate_every=10)
    mean = averaged
    train(plain, run_in(tmp_path / "plain"))
    train(averaged, run_in(tmp_path / "averaged"))
    kept, own = weights(averaged), weights(plain)
    assert all(torch.equal(kept[name], value) for name, value in seen[-1].items())
    assert not torch.allclose(kept["g.0.weight"], own["g.0.weight"])
    assert torch.allclose(kept["g.1.running_mean"], own["g.1.running_mean"])  # the latest: training saw no average


def test_what_was_frozen_before_stays_frozen(tmp_path: Path) -> None:
    phase = pair()
    phase.module["d"][0].requires_grad_(False)  # type: ignore[index]
    before = weights(phase)
    train(phase, run_in(tmp_path))
    assert torch.equal(before["d.0.weight"], phase.module.state_dict()["d.0.weight"])
    trainable = {name for name, parameter in phase.module.named_parameters() if parameter.requires_grad}
    assert "d.0.weight" not in trainable
    assert {"d.2.weight", "g.0.weight"} <= trainable


def test_an_update_of_foreign_weights_or_with_the_name_of_another_is_refused() -> None:
    phase = pair()
    foreign = Update(nn.Linear(2, 2), Optimiser(), lambda _: {}, "foreign")
    for updates in ((foreign,), (), (phase.updates[0], phase.updates[0])):
        with pytest.raises(ValueError, match="update"):
            Phase("pair", phase.module, 40, 30, 8, updates)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_validation_that_is_not_a_number_ends_in_a_message(tmp_path: Path, value: float) -> None:
    with pytest.raises(CheckError, match=r"diverged: pair is validated with (nan|inf) at step 5"):
        train(pair(validate=lambda: {"selection": value}, validate_every=5), run_in(tmp_path))


def test_a_checkpoint_of_the_first_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    torch.save({"about": '{"schema": "xmbench/checkpoint/1"}'}, tmp_path / "checkpoints" / "pair.pt")
    with pytest.raises(OutputError, match="another version") as caught:
        train(pair(), run_in(tmp_path, resume=True))
    assert "remove this file" in str(caught.value)


def test_out_of_memory_is_a_message(tmp_path: Path) -> None:
    def greedy(_call: int) -> None:
        torch.empty(2**60, dtype=torch.uint8)

    with pytest.raises(PrerequisiteError, match="out of memory while training pair with batches of 8") as caught:
        train(pair(greedy), run_in(tmp_path))
    assert "smaller batch" in str(caught.value)
    with pytest.raises(ZeroDivisionError), computing("dividing"):
        raise ZeroDivisionError


def test_large_networks_wait_longer_for_their_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with torch.device("meta"):
        large = Phase("large", nn.Linear(20_000, 10_000), 8, 8, 8, (Update(nn.Sequential(), Optimiser(), dict),))
    for phase, minutes in ((pair(), 1), (large, 5)):
        timer = Timer(phase, State())
        now[0] += 60.0
        assert timer.due() == (minutes == 1)
    now[0] += 600.0
    assert timer.due()
    timer.write(lambda: now.__setitem__(0, now[0] + 30.0))
    now[0] += 599.0  # 30 seconds of writing are five percent of ten minutes
    assert not timer.due()
    now[0] += 200.0
    assert timer.due()


# ------------------------------------------------------------------------------- optimisers and schedules
@pytest.mark.parametrize("name", ["rmsprop-tf", "rmsprop-torch", "adam", "adamw", "sgd", "nadamw", "lamb", "lion"])
def test_every_optimiser_learns_a_line(name: Any) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(64, 3)
    wanted, net = inputs @ torch.tensor([[1.0], [-2.0], [0.5]]), nn.Linear(3, 1)
    made = make_optimiser(net, Optimiser(name, 3e-2, weight_decay=1e-4))
    for _ in range(300):
        made.zero_grad()
        error = (net(inputs) - wanted).square().mean()
        error.backward()
        made.step()
    assert error.item() < 0.05


def test_optimisers_have_the_settings_of_pytorch() -> None:
    net = nn.Linear(2, 2)
    adam = make_optimiser(net, Optimiser("adamw", 1e-3, 0.01, betas=(0.5, 0.9), eps=1e-6))
    assert isinstance(adam, torch.optim.AdamW)
    assert (adam.param_groups[0]["betas"], adam.param_groups[0]["eps"]) == ((0.5, 0.9), 1e-6)
    assert [group["weight_decay"] for group in adam.param_groups] == [0.01, 0.0]
    sgd = make_optimiser(net, Optimiser("sgd", 0.1, momentum=0.8))
    assert (sgd.param_groups[0]["momentum"], sgd.param_groups[0]["nesterov"]) == (0.8, False)
    assert make_optimiser(net, Optimiser("rmsprop-torch")).param_groups[0]["alpha"] == 0.99


def test_schedules_of_timm_begin_after_the_warm_up() -> None:
    def rates(schedule: Any, **settings: Any) -> list[float]:
        optimiser = Optimiser(learning_rate=1.0, warmup_steps=2, schedule=schedule, **settings)
        return [round(learning_rate(optimiser, step, 12), 6) for step in range(12)]

    assert rates("step", decay_steps=(4,), decay_rate=0.5) == [0.5, *[1.0] * 5, *[0.5] * 4, 0.25, 0.25]
    assert rates("multistep", decay_steps=(1, 7)) == [0.5, 1.0, 1.0, *[0.1] * 6, *[0.01] * 3]
    for schedule in ("poly", "tanh"):
        falling = rates(schedule)
        assert falling[:2] == [0.5, 1.0]
        assert falling[2] > falling[-1] > 0
    with pytest.raises(ValueError, match="decay_steps"):
        Optimiser(schedule="step")


def test_a_network_is_placed_in_the_memory_format_that_is_asked_for() -> None:
    net = place(nn.Conv2d(3, 4, 3), "cpu", channels_last=True)
    assert net.weight.is_contiguous(memory_format=torch.channels_last)
