"""The rows `dcmavg-s2i-*`: sizes of the paper, losses, wrong images, a training that draws, resuming, the evolution."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.baselines.test_adversarial_rows import TASK, outputs, run_in
from tests.conftest import ROOT
from xmbench import registry
from xmbench.baselines import dcmavg_s2i
from xmbench.baselines._adversarial import square
from xmbench.baselines._adversarial_selection import settle_norms
from xmbench.baselines._dcmavg_s2i_config import Config
from xmbench.errors import DatasetError, DocumentError
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.interfaces import AudioFormat, Conditions, Examples
from xmbench.networks.class_encoders import SoundClassifier
from xmbench.networks.wrong_pairs import WrongPairs
from xmbench.runner.settings import resolve_config
from xmbench.training import Tensors

NAMES = ("c", "n", "a", "pose")
ROWS = {name: load_toml(ROOT / "baselines" / f"dcmavg-s2i-{name}.toml", Baseline) for name in NAMES}
TINY: dict[str, Any] = {
    "image_widths": (4, 8, 8),
    "image_hidden": 32,
    "sound_widths": (4, 4, 8, 8),
    "sound_hidden": 32,
    "classifier_lr": 3e-3,
    "classifier_epochs": 1,
    "classifier_min_steps": 25,
    "classifier_batch": 16,
    "autoencoder_epochs": 1,
    "autoencoder_min_steps": 3,
    "autoencoder_batch": 8,
    "generator_width": 4,
    "discriminator_width": 4,
    "lr": 1e-3,
    "epochs": 1,
    "min_steps": 4,
    "batch": 8,
}


@pytest.fixture(autouse=True)
def _few_items_for_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmbench.baselines._adversarial_selection.NORM_BATCHES", 1)


def examples_of(count: int = 48, seed: int = 0, takes: int = 6) -> Examples:
    """Lying and standing stripes; a low and a high decaying tone; takes of windows that begin every 0.1 s."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = random.integers(0, 60, (count, 12, 12, 1)).astype(np.uint8)
    images[labels == 0, ::4] = 220
    images[labels == 1, :, ::4] = 220
    time = np.arange(2400) / 8000
    level = random.uniform(0.5, 1.0, count)[:, None]
    tones = np.stack([np.sin(2 * math.pi * pitch * time) * np.exp(-6 * time) for pitch in (250, 1500)])[labels]
    clips = np.round(tones * level * 12000).astype(np.int16)
    ids = tuple(f"item-{i:03d}" for i in range(count))
    groups = tuple(f"take-{label}-{i // 2 % takes}" for i, label in enumerate(labels))
    starts_s = (np.arange(count) // 2 // takes * 0.1).astype(np.float64)
    return Examples(ids, labels, images, clips, np.arange(count), groups, starts_s=starts_s)


def config_of(name: str, **changes: Any) -> Config:
    config = resolve_config(ROWS[name], registry.model("dcmavg-s2i"), None, {**TINY, **changes})
    assert isinstance(config, Config)
    return config


# ---------------------------------------------------------------------------------------------- the rows
def test_the_settings_of_the_main_model_are_the_defaults_of_the_code() -> None:
    config = dcmavg_s2i.MODEL.Config
    assert config(**ROWS["c"].config) == config()
    for row in ROWS.values():
        assert set(row.config) == set(config.model_fields)


def test_variants_differ_from_the_main_model_only_in_what_the_paper_says() -> None:
    differences = {
        name: {key: value for key, value in row.config.items() if value != ROWS["c"].config[key]}
        for name, row in ROWS.items()
    }
    assert differences == {
        "c": {},
        "n": {"wrong_weight": 0.0},
        "a": {"encoder": "autoencoder"},
        "pose": {"scenario": "pose"},
    }
    lite = {str({**row.presets["lite"].config, "min_steps": 0}) for row in ROWS.values()}
    assert len(lite) == 1


def test_full_width_of_generator_and_discriminator() -> None:
    with torch.device("meta"):
        pair = dcmavg_s2i.Adversaries(Config())
        images = pair.generator(torch.empty(2, 128), torch.empty(2, 100))
        assert images.shape == (2, 3, 64, 64)
        assert pair.discriminator(images, torch.empty(2, 128)).shape == (2,)
        assert pair.generator.stem.layers[0].in_channels == 164  # 64 values of the sound, 100 of z
        classifier = SoundClassifier(13)
        assert classifier.convolutions(torch.empty(2, 1, 128, 44)).shape == (2, 256, 8, 2)
    counts = {name: sum(p.numel() for p in part.parameters()) / 1e6 for name, part in pair.named_children()}
    assert counts == {"generator": pytest.approx(17.7, abs=0.05), "discriminator": pytest.approx(3.9, abs=0.05)}
    assert sum(p.numel() for p in classifier.parameters()) / 1e6 == pytest.approx(2.6, abs=0.05)


def test_poses_need_the_classes_of_a_classifier() -> None:
    with pytest.raises(DocumentError, match="each class"):
        resolve_config(ROWS["a"], registry.model("dcmavg-s2i"), None, {"scenario": "pose"})


# ---------------------------------------------------------------------------------------------- losses
class Judge(nn.Module):
    """Sure of what it sees by the mean of an image, and remembers the images."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale, self.seen = scale, list[Tensor]()

    def forward(self, images: Tensor, encodings: Tensor) -> Tensor:
        self.seen.append(images)
        return self.scale * images.mean(dim=(1, 2, 3))


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_a_batch_is_equation_4_of_the_images_that_the_variant_uses(tmp_path: Path, name: str) -> None:
    examples, config = examples_of(), config_of(name)
    data = Tensors(examples, run_in(tmp_path))
    labels = data.labels[data.rows]
    pair: Any = dcmavg_s2i.Adversaries(config)
    pair.discriminator = Judge(1.0)
    rows = data.rows.numpy()
    groups = [examples.groups[row] for row in rows]
    assert examples.starts_s is not None
    wrong = WrongPairs(labels, groups, examples.starts_s[rows], config.min_gap_s)
    losses = dcmavg_s2i._Losses(pair, torch.randn(48, 128), data, wrong, config)
    positions = torch.arange(8)
    found = losses.discriminator(positions)["loss"].item()
    scores = [1 / (1 + np.exp(-images.mean(dim=(1, 2, 3)).detach().numpy())) for images in pair.discriminator.seen]
    real, fake = scores[0], scores[-1]
    if name == "n":
        assert len(scores) == 2
        assert found == pytest.approx(-(np.log(real) + np.log(1 - fake)).mean(), abs=1e-5)
        return
    printed = np.log(real) + (np.log(1 - scores[1]) + np.log(1 - fake)) / 2
    assert found == pytest.approx(-printed.mean(), abs=1e-5)
    known = square(data.pixels(data.rows))
    for position, image in zip(positions, pair.discriminator.seen[1], strict=True):
        shown = int((known - image).abs().flatten(1).sum(dim=1).argmin())
        assert torch.equal(known[shown], image)
        assert (labels[shown] == labels[position]) == (name == "pose")
        assert shown != position


def test_the_loss_is_zero_where_the_discriminator_is_right(tmp_path: Path) -> None:
    examples = dataclasses.replace(examples_of(), images=np.full((48, 12, 12, 1), 255, dtype=np.uint8))
    data, config = Tensors(examples, run_in(tmp_path)), config_of("n")
    pair: Any = dcmavg_s2i.Adversaries(config)
    pair.discriminator = Judge(300.0)  # real images are white
    pair.generator.forward = lambda encodings, noise: -torch.ones(len(noise), 3, 64, 64)
    losses = dcmavg_s2i._Losses(pair, torch.randn(48, 128), data, WrongPairs(data.labels[data.rows]), config)
    assert losses.discriminator(torch.arange(8))["loss"].item() == 0.0
    assert losses.generator(torch.arange(8))["loss"].item() == pytest.approx(300.0)


# ---------------------------------------------------------------------------------------------- training
@pytest.mark.parametrize("name", NAMES)
def test_every_row_trains_and_draws(tmp_path: Path, name: str) -> None:
    examples, unseen = examples_of(), examples_of(12, seed=1)
    config = config_of(name, min_gap_s=0.2)
    generator: Any = dcmavg_s2i.MODEL.fit(examples, TASK, config, run_in(tmp_path))
    found = outputs(generator, unseen, "a2i")
    assert found.shape == (12, 12, 12, 1)
    assert found.dtype == np.uint8
    small = outputs(generator, unseen, "a2i", batch=5)
    assert np.abs(found.astype(int) - small.astype(int)).max() <= 1
    conditions = Conditions(unseen.ids, unseen.clips)
    images, classes = generator.generate_and_predict(conditions, "a2i")
    assert np.abs(found.astype(int) - images.astype(int)).max() <= 1
    assert (classes is None) == (name == "a")
    assert (generator.predict(conditions) is None) == (name == "a")
    if classes is not None:
        assert (classes == unseen.labels).mean() > 0.9
    phases = {path.stem for path in (tmp_path / "checkpoints").iterdir()}
    encoder = {f"autoencoder-{k}" for k in (1, 2, 3, 4)} if name == "a" else {"sound-classifier"}
    pairs = {"adversaries-00-0", "adversaries-01-1"} if name == "pose" else {"adversaries"}
    assert phases == {"image-classifier", *encoder, *pairs}


def test_a_small_network_learns_to_draw_two_classes_from_their_sounds(tmp_path: Path) -> None:
    examples, unseen = examples_of(), examples_of(12, seed=1)
    config = config_of(
        "c", generator_width=8, discriminator_width=8, lr=2e-3, min_steps=60, average=0.9, validate_every=10
    )
    generator = dcmavg_s2i.MODEL.fit(examples, TASK, config, run_in(tmp_path))
    made = outputs(generator, unseen, "a2i")[..., 0].astype(float)
    lying = made.mean(axis=2).std(axis=1) > made.mean(axis=1).std(axis=1)  # rows differ more than columns
    assert (lying == (unseen.labels == 0)).all()


@pytest.mark.parametrize("name", ["a", "pose"])
def test_a_stopped_training_ends_with_the_same_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    examples, config = examples_of(24), config_of(name, classifier_min_steps=2)
    whole = dcmavg_s2i.MODEL.fit(examples, TASK, config, run_in(tmp_path / "whole"))

    def interrupt(line: str) -> None:
        if line.startswith("adversaries") and "step 2 of" in line:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("xmbench.training.loop.REPORT_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        dcmavg_s2i.MODEL.fit(examples, TASK, config, run_in(tmp_path / "broken", progress=interrupt))
    again = dcmavg_s2i.MODEL.fit(examples, TASK, config, run_in(tmp_path / "broken", resume=True))
    np.testing.assert_array_equal(outputs(whole, examples, "a2i"), outputs(again, examples, "a2i"))


def test_the_generator_of_the_recognised_class_draws(tmp_path: Path) -> None:
    examples = examples_of(24)
    generator: Any = dcmavg_s2i.MODEL.fit(examples, TASK, config_of("pose"), run_in(tmp_path))
    before = outputs(generator, examples, "a2i")
    nn.init.zeros_(generator._generators[1].last[0].weight)
    after = outputs(generator, examples, "a2i")
    recognised = generator.predict(Conditions(examples.ids, examples.clips))
    np.testing.assert_array_equal(after[recognised == 0], before[recognised == 0])
    assert set(np.unique(after[recognised == 1])) <= {127, 128}
    assert generator.parameters == sum(
        p.numel() for net in (generator._encoder, *generator._generators.values()) for p in net.parameters()
    )


def test_a_gap_that_leaves_no_wrong_pair_is_an_error(tmp_path: Path) -> None:
    examples = dataclasses.replace(examples_of(24), groups=("take",) * 24)
    with pytest.raises(DatasetError, match="far enough"):
        dcmavg_s2i.MODEL.fit(
            examples, TASK, config_of("pose", min_gap_s=60.0, classifier_min_steps=2), run_in(tmp_path)
        )


@pytest.mark.parametrize("samples", [800, 60000])
def test_clips_of_any_length_are_heard(tmp_path: Path, samples: int) -> None:
    examples = examples_of(16, takes=8)
    clips = np.resize(examples.clips, (16, samples))
    task = dataclasses.replace(TASK, audio=AudioFormat(8000, samples, 0.0, 10.0))
    generator = dcmavg_s2i.MODEL.fit(
        dataclasses.replace(examples, clips=clips),
        task,
        config_of("c", classifier_min_steps=2, min_steps=1),
        run_in(tmp_path),
    )
    assert outputs(generator, dataclasses.replace(examples, clips=clips), "a2i").shape == (16, 12, 12, 1)


# ---------------------------------------------------------------------------------------------- evolution
@pytest.mark.parametrize("name", ["c", "pose"])
def test_the_evolution_has_the_accuracies_of_the_validations(tmp_path: Path, name: str) -> None:
    changes = {"average": 0.5, "min_steps": 2, "batch": 24, "classifier_min_steps": 2}
    examples, config = examples_of(), config_of(name, evolution=True, **changes)
    plain = dcmavg_s2i.MODEL.fit(examples, TASK, config_of(name, **changes), run_in(tmp_path / "plain"))
    lines = run_in(tmp_path / "run")
    generator = dcmavg_s2i.MODEL.fit(examples, TASK, config, lines)
    np.testing.assert_array_equal(outputs(plain, examples, "a2i"), outputs(generator, examples, "a2i"))
    assert not (tmp_path / "plain" / "evolution.json").exists()
    found = json.loads((tmp_path / "run" / "evolution.json").read_text())
    assert "held-out" in found["what"]
    rows = [line.split(",") for line in (tmp_path / "run" / "curves.csv").read_text().splitlines()]
    for phase in found["phases"]:
        curve = {int(row[1]): float(row[3]) for row in rows if row[0] == phase["name"] and row[2].endswith("-accuracy")}
        held_out = {moment["step"]: moment["held_out_accuracy"] for moment in phase["moments"]}
        assert held_out == pytest.approx(curve)
        assert list(held_out) == [1, 2]
        assert all(0.0 <= moment["training_accuracy"] <= 1.0 for moment in phase["moments"])
        assert phase["selected_step"] in held_out
        assert phase["moments"][-1]["epoch"] == 2 / phase["epoch_steps"]
    picture = Image.open(io.BytesIO((tmp_path / "run" / "evolution.png").read_bytes()))
    assert picture.width == 960
    again = dataclasses.replace(lines, resume=True)
    (tmp_path / "run" / "evolution.json").unlink()
    dcmavg_s2i.MODEL.fit(examples, TASK, config, again)
    assert json.loads((tmp_path / "run" / "evolution.json").read_text()) == found


def test_the_evolution_of_a_set_without_held_out_items_has_training_items_only(tmp_path: Path) -> None:
    examples = dataclasses.replace(examples_of(16), groups=("take",) * 16)
    config = config_of("c", evolution=True, classifier_min_steps=2, min_steps=1)
    dcmavg_s2i.MODEL.fit(examples, TASK, config, run_in(tmp_path))
    (phase,) = json.loads((tmp_path / "evolution.json").read_text())["phases"]
    assert [moment["held_out_accuracy"] for moment in phase["moments"]] == [None] * len(phase["moments"])


# ---------------------------------------------------------------------------------------------- held-out items
def test_norms_fit_the_kept_weights_where_nothing_is_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[int] = []

    def counted(*given: Any) -> None:
        settled.append(1)
        settle_norms(*given)

    monkeypatch.setattr("xmbench.baselines.dcmavg_s2i.settle_norms", counted)
    examples = dataclasses.replace(examples_of(16), groups=("take",) * 16)
    config = config_of("c", classifier_min_steps=2, min_steps=1, average=0.9)
    generator = dcmavg_s2i.MODEL.fit(examples, TASK, config, run_in(tmp_path))
    assert len(settled) == 1
    again = dcmavg_s2i.MODEL.fit(examples, TASK, config, run_in(tmp_path, resume=True))
    np.testing.assert_array_equal(outputs(generator, examples, "a2i"), outputs(again, examples, "a2i"))


def test_no_take_is_both_trained_on_and_held_out(tmp_path: Path) -> None:
    examples = examples_of()
    data = Tensors(examples, run_in(tmp_path))
    trained, held_out = ({examples.groups[row] for row in rows.tolist()} for rows in (data.rows, data.held_out))
    assert held_out
    assert not trained & held_out
    for label in (0, 1):
        own = dcmavg_s2i._of_class(data, label)
        assert set(data.labels[own.rows].tolist()) == set(data.labels[own.held_out].tolist()) == {label}
        assert own.validation_ids == tuple(examples.ids[row] for row in own.held_out.tolist())
