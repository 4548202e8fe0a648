"""Curves over several phases, and pictures and accuracies of the snapshots of one."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from xmbench.errors import OutputError
from xmbench.interfaces import PhaseProgress, Run
from xmbench.training import Evolution, Moment, Optimiser, Phase, Update, moments_of, train, write_evolution


def run_in(folder: Path, resume: bool = False, data: str = "one") -> Run:
    return Run(folder, 0, "cpu", resume, lambda _line: None, {"data": data})


def phase_of(name: str, module: nn.Module) -> Phase:
    def loss(positions: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": module(torch.ones(len(positions), 2)).square().mean()}

    optimiser = Optimiser("adam", 0.1, schedule="constant")
    update = Update(module, optimiser, loss)
    return Phase(name, module, 8, 6, 4, (update,), snapshot_every=2)


def test_curves_have_every_phase_of_a_run_and_none_of_an_earlier_one(tmp_path: Path) -> None:
    train(phase_of("old", nn.Linear(2, 1)), run_in(tmp_path))
    run = run_in(tmp_path)
    for name in ("first", "second"):
        train(phase_of(name, nn.Linear(2, 1)), run)
    rows = [line.split(",")[0] for line in (tmp_path / "curves.csv").read_text().splitlines()[1:]]
    assert rows == ["first", "second"]


def test_each_snapshot_is_looked_at_in_the_order_of_its_step(tmp_path: Path) -> None:
    net, run = nn.Linear(2, 1), run_in(tmp_path)
    for name in ("fit", "fit-more"):
        train(phase_of(name, net if name == "fit" else nn.Linear(2, 1)), run)
    last = {key: value.clone() for key, value in net.state_dict().items()}
    outputs: list[float] = []

    def look(step: int) -> Moment:
        outputs.append(net(torch.ones(1, 2)).square().item())
        return Moment(step, None, 1.0, np.zeros((1, 4, 4, 3), dtype=np.uint8))

    assert [moment.step for moment in moments_of("fit", net, look, run)] == [2, 4, 6]
    assert outputs[0] > outputs[1] > outputs[2]
    assert all(torch.equal(last[key], value) for key, value in net.state_dict().items())
    with pytest.raises(OutputError, match="another training"):
        list(moments_of("fit", net, look, run_in(tmp_path, data="two")))


def test_the_picture_shows_the_first_and_the_last_moment(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    run.phases["fit"] = PhaseProgress(60, done=60, selected=40)
    moments = []
    for step in range(1, 31):
        shade = np.full((2, 64, 64, 3), 8 * step, dtype=np.uint8)
        moments.append(Moment(step * 2, min(step / 20, 1.0), min(step / 10, 1.0), shade))
    write_evolution([Evolution("fit", 4, ("violin", "flute"), tuple(moments))], run)
    found = json.loads((tmp_path / "evolution.json").read_text())
    (phase,) = found["phases"]
    assert (phase["name"], phase["selected_step"], len(phase["moments"])) == ("fit", 40, 30)
    assert phase["moments"][9] == {"step": 20, "epoch": 5.0, "held_out_accuracy": 0.5, "training_accuracy": 1.0}
    picture = np.asarray(Image.open(io.BytesIO((tmp_path / "evolution.png").read_bytes())))
    assert picture.shape[1] == 960
    strip = picture[300 + 30, 80 + 32 :: 70][:12, 0]
    assert strip[0] == 8
    assert strip[-1] == 240
    assert (np.diff(strip.astype(int)) > 0).all()
