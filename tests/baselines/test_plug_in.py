"""A model of a third party: an adversarial pair that generates in both directions after one training."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.plugins import plug_in
from xmbench import runner
from xmbench.errors import DocumentError
from xmbench.evaluator.check import check
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json, load_toml
from xmbench.formats.submission import Submission

PAIR = '''
import torch
from torch import nn
from xmbench.formats.document import Part
from xmbench.networks.images import standardise
from xmbench.training import Optimiser, Phase, Tensors, Update, autocast, place, seed_everything, train

BCE = nn.functional.binary_cross_entropy_with_logits


class Config(Part):
    width: int = 16
    steps: int = 12
    precision: str = "float32"


class Net(nn.Module):
    """A picture and a sound each to and from a code, and a judge of pairs."""

    def __init__(self, task, width):
        super().__init__()
        self.pixels, self.samples = (task.image.height_px, task.image.width_px, task.image.channels), task.audio.samples
        flat = self.pixels[0] * self.pixels[1] * self.pixels[2]
        self.see, self.hear = nn.Linear(flat, width), nn.Linear(self.samples, width)
        self.draw, self.say = nn.Linear(width, flat), nn.Linear(width, self.samples)
        self.judge = nn.Sequential(nn.Linear(flat + self.samples, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def sound_of(self, images):
        return torch.tanh(self.say(torch.tanh(self.see(images))))

    def image_of(self, sounds):
        return torch.tanh(self.draw(torch.tanh(self.hear(sounds))))


class Trained:
    def __init__(self, net, config, device):
        self.net, self.config, self.device = net.eval(), config, device

    @torch.no_grad()
    def generate(self, conditions, direction):
        given = torch.from_numpy(conditions.inputs).to(self.device)
        with autocast(self.device, self.config.precision):
            if direction == "i2a":
                return self.net.sound_of(standardise(given).flatten(1)).float().cpu().numpy()
            made = self.net.image_of(given.float() / 32768).float().cpu()
        return ((made + 1) * 127.5).round().to(torch.uint8).view(-1, *self.net.pixels).numpy()


class Model:
    name, directions, oracle, Config = "pair", ("i2a", "a2i"), False, Config

    def fit(self, examples, task, config, run):
        data = Tensors(examples, run)
        seed_everything(run.seed, "weights")
        net = place(Net(task, config.width), run.device)
        makers = nn.ModuleList([net.see, net.hear, net.draw, net.say])

        def batch(positions):
            rows = data.rows[positions]
            return standardise(data.pixels(rows)).flatten(1), data.waveforms(data.clip_index[rows])

        def said(images, sounds):
            return net.judge(torch.cat([images, sounds], dim=1))

        def judged(positions):
            images, sounds = batch(positions)
            images = images + 0.1 * torch.randn_like(images)
            real = said(images, sounds)
            drawn, spoken = said(net.image_of(sounds), sounds), said(images, net.sound_of(images))
            wrong = BCE(drawn, torch.zeros_like(drawn)) + BCE(spoken, torch.zeros_like(spoken))
            return {"loss": BCE(real, torch.ones_like(real)) + wrong}

        def made(positions):
            images, sounds = batch(positions)
            drawn, spoken = said(net.image_of(sounds), sounds), said(images, net.sound_of(images))
            return {"loss": BCE(drawn, torch.ones_like(drawn)) + BCE(spoken, torch.ones_like(spoken))}

        adam = Optimiser("adam", 1e-3, betas=(0.5, 0.999))
        updates = (Update(net.judge, adam, judged, "judge"), Update(makers, adam, made, "makers", every=2))
        more = {"average": 0.9, "precision": config.precision}
        train(Phase("pair", net, len(data.rows), config.steps, 8, updates, **more), run)
        return Trained(net, config, run.device)


MODEL = Model()
'''

ROW = """
schema = "xmbench/baseline/1"
name = "pair"
title = "A pair"
description = "Two networks against one."
model = "pair"
directions = ["i2a", "a2i"]
kind = "learned"
"""

# As a plug-in of the first version: one direction at a time, told to `fit` and not to `generate`.
FIRST = """
import numpy as np
from xmbench.formats.document import Part


class Quiet:
    def __init__(self, samples):
        self.samples = samples

    def generate(self, conditions):
        return np.full((len(conditions.ids), self.samples), 0.25, dtype=np.float32)

    def predict(self, conditions):
        return np.zeros(len(conditions.ids), dtype=np.int64)


class Model:
    name, directions, oracle, Config = "first", ("i2a", "a2i"), False, Part

    def fit(self, examples, task, direction, config, run):
        assert direction == "i2a"
        return Quiet(task.audio.samples)


MODEL = Model()
"""


def row(folder: Path, text: str) -> Baseline:
    path = folder / "row.toml"
    path.write_text(text)
    return load_toml(path, Baseline)


def outputs(folder: Path) -> dict[str, bytes]:
    table = pq.read_table(folder / "outputs.parquet")
    return dict(zip(table["id"].to_pylist(), table["bytes"].to_pylist(), strict=True))


def test_a_pair_trains_once_resumes_to_the_bit_and_writes_a_submission_per_direction(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, tmp_path, "pair", PAIR, "xmbench.baselines", "MODEL")
    baseline = row(tmp_path, ROW)
    lines: list[str] = []
    whole = runner.run(baseline, digits, tmp_path / "whole", device="cpu", progress=lines.append)
    assert len([line for line in lines if line.startswith("pair: step 12 of 12")]) == 1
    assert [made.submission.name for made in whole.written] == ["submission-i2a", "submission-a2i"]
    for made in whole.written:
        assert [problem for problem in check(made.submission, digits).problems if problem.kind != "silent"] == []
        document = load_json(made.submission / "submission.json", Submission)
        assert document.track == made.track == f"digits-ad/{made.direction}"

    def interrupt(line: str) -> None:
        if line.startswith("pair: step"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("xmbench.training.loop.REPORT_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        runner.run(baseline, digits, tmp_path / "broken", device="cpu", progress=interrupt)
    assert [path.name for path in (tmp_path / "broken" / "checkpoints").iterdir()] == ["pair.pt"]
    options: dict[str, Any] = {"device": "cpu", "resume": True, "progress": lines.append}
    resumed = runner.run(baseline, digits, tmp_path / "broken", **options)
    for one, other in zip(whole.written, resumed.written, strict=True):
        assert outputs(one.submission) == outputs(other.submission)
    control = runner.run(baseline, digits, tmp_path / "broken", shuffle_conditions=True, **options)
    assert control.written[1].submission.name == "submission-a2i-shuffled"
    assert outputs(control.written[1].submission) != outputs(resumed.written[1].submission)
    record = load_json(tmp_path / "broken" / "run.json", runner.RunRecord)
    assert set(record.generations) == {
        f"submission-{direction}{control}" for direction in ("i2a", "a2i") for control in ("", "-shuffled")
    }


def test_a_model_of_the_first_version_runs_in_one_direction(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(monkeypatch, tmp_path, "first", FIRST, "xmbench.baselines", "MODEL")
    old = ROW.replace('"pair"', '"first"').replace('directions = ["i2a", "a2i"]', 'direction = "i2a"')
    baseline = row(tmp_path, old)
    assert baseline.directions == ("i2a",)
    summary = runner.run(baseline, digits, tmp_path / "run", progress=lambda _line: None)
    assert summary.submission == tmp_path / "run" / "submission"
    assert summary.generation.head_accuracy == pytest.approx(0.1)
    both = baseline.model_copy(update={"directions": ("i2a", "a2i")})
    with pytest.raises(DocumentError, match="first version of the interface") as caught:
        runner.run(both, digits, tmp_path / "both", progress=lambda _line: None)
    assert "generate(conditions, direction)" in str(caught.value)


@pytest.mark.parametrize(
    "phase",
    [
        "Phase('p', net, 8, 2, 4, Optimiser(), dict)",
        "Phase(name='p', module=net, items=8, steps=2, batch_size=4, optimiser=Optimiser(), loss=dict)",
    ],
)
def test_a_model_that_trains_by_the_first_version_is_told_what_to_change(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    lines = f"        from torch.nn import Linear\n        net = Linear(1, 1)\n        train({phase}, run)\n"
    code = FIRST.replace("        return Quiet", f"{lines}        return Quiet")
    code = code.replace("import numpy", "from xmbench.training import Optimiser, Phase, train\nimport numpy")
    plug_in(monkeypatch, tmp_path, "first", code, "xmbench.baselines", "MODEL")
    baseline = row(tmp_path, ROW.replace('"pair"', '"first"').replace(', "a2i"]', "]"))
    with pytest.raises(DocumentError, match="trains as in the first version") as caught:
        runner.run(baseline, digits, tmp_path / "run", progress=lambda _line: None)
    assert "updates=(Update(module, optimiser, loss),)" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('direction = "i2a"\ndirections = ["a2i"]', "both `direction` and `directions`"),
        ('directions = ["i2a", "i2a"]', "twice"),
        ("directions = []", "at least 1"),
        ('direction = "sideways"', "directions"),
    ],
)
def test_invalid_directions_are_refused(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        row(tmp_path, ROW.replace('directions = ["i2a", "a2i"]', line))
