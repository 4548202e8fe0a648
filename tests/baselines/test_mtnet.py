"""MT-Net: shapes and counts at full width (no memory: meta device), equations, and a tiny training."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xmbench.baselines import mtnet
from xmbench.baselines._mtnet_network import Config, MTNet
from xmbench.baselines.mtnet import MODEL
from xmbench.interfaces import AudioFormat, Conditions, Examples, ImageFormat, Run, Task
from xmbench.networks.images import standardise
from xmbench.networks.modal_translation import (
    AudioAutoencoder,
    generation_loss,
    reconstruction_loss,
    representation_loss,
)
from xmbench.training import Phase, Tensors

TINY: dict[str, Any] = {
    "widths": (4, 6),
    "strides": (2, 2),
    "autoencoder_widths": (48, 32, 16, 32, 48),
    "code_shape": (4, 4),
    "generator_hidden": 16,
    "autoencoder_lr": 3e-3,
    "autoencoder_min_steps": 200,
    "autoencoder_epochs": 1,
    "joint_lr": 1e-3,
    "joint_min_steps": 200,
    "joint_epochs": 1,
    "joint_batch": 16,
}


def task_of(samples: int, size: int = 12, channels: int = 1, classes: int = 4) -> Task:
    names = tuple(str(k) for k in range(classes))
    return Task(names, names, ImageFormat(size, size, channels), AudioFormat(8000, samples, 0.0, 10.0))


def examples_of(task: Task, count: int = 120, seed: int = 0) -> Examples:
    """Stripes whose distance is the class (pooling forgets places), and one decaying tone per class."""
    classes, size = len(task.class_names), task.image.height_px
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = random.integers(0, 30, (count, size, size, task.image.channels)).astype(np.uint8)
    for i, label in enumerate(labels):
        images[i, :: label + 2] += 150
    time = np.arange(task.audio.samples) / task.audio.samples
    tones = [np.sin(2 * math.pi * 5 * (k + 1) * time) * np.exp(-2 * time) for k in range(classes)]
    clips = np.round(np.stack(tones) * 12000).astype(np.int16)
    ids = tuple(f"item-{i:03d}" for i in range(count))
    return Examples(ids, labels, images, clips, labels.copy(), ids)


def run_in(folder: Path, resume: bool = False) -> Run:
    return Run(folder, 0, "cpu", resume, lambda _line: None)


def million(module: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


# ------------------------------------------------------------------------------- full width (meta device)
@pytest.mark.parametrize(
    ("samples", "size", "channels", "autoencoder", "generator", "inference"),
    [(18140, 28, 1, 169.6, 78.5, 108.5), (24020, 32, 3, 217.8, 102.6, 132.6), (29356, 32, 3, 261.5, 124.5, 154.5)],
)
def test_full_width_shapes_and_parameter_counts(
    samples: int, size: int, channels: int, autoencoder: float, generator: float, inference: float
) -> None:
    task, config = task_of(samples, size, channels, 10), Config()
    with torch.device("meta"):
        net, audio = MTNet(task, config).eval(), AudioAutoencoder(samples, config.autoencoder_widths)
        images = torch.empty(2, channels, size, size)
        assert net.features.trunk(images).shape == (2, 1024, size, size)
        logits, code, waveforms = net(images)
        assert audio.encoder(waveforms).shape == code.shape == (2, 1024)
        assert audio(waveforms).shape == waveforms.shape == (2, samples)
        assert logits.shape == (2, 10)
    assert million(net.features.trunk) == pytest.approx(25.8, abs=0.1)
    assert million(audio) == pytest.approx(autoencoder, abs=0.1)
    assert million(net.generator) == pytest.approx(generator, abs=0.1)
    assert million(net) - million(net.head) == pytest.approx(inference, abs=0.1)


def test_autoencoder_decoder_in_place_of_the_generator() -> None:
    with torch.device("meta"):
        net = MTNet(task_of(18140, 28), Config(decoder="ae"))
        assert net(torch.empty(2, 1, 28, 28))[2].shape == (2, 18140)
    generator: Any = net.generator
    widths = [layer[0].out_features for layer in generator]
    assert widths == [2048, 4096, 18140]


def test_lite_code_is_1024_and_strided_to_7x7() -> None:
    config = Config(widths=(8, 32, 64, 128, 256), strides=(1, 2, 2, 1, 1), generator_hidden=512)
    with torch.device("meta"):
        net = MTNet(task_of(18140, 28), config)
        assert net.features.trunk(torch.empty(2, 1, 28, 28)).shape == (2, 256, 7, 7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"strides": (1,)}, "strides"), ({"autoencoder_widths": (8, 4)}, "odd"), ({"code_shape": (3, 3)}, "code_shape")],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**changes)


# ---------------------------------------------------------------------------------------------- equations
def test_standardisation() -> None:
    images = torch.randint(0, 256, (3, 5, 6, 3), dtype=torch.uint8)
    found = standardise(images)
    assert found.shape == (3, 3, 5, 6)
    assert torch.allclose(found.mean(dim=(1, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(found.std(dim=(1, 2, 3), correction=0), torch.ones(3), atol=1e-5)
    assert (standardise(torch.full((1, 4, 4, 1), 200, dtype=torch.uint8)) == 0).all()


def test_representation_loss_of_a_batch_and_of_samples() -> None:
    torch.manual_seed(0)
    code, audio = torch.randn(6, 16), torch.randn(6, 16)
    unit = [part / part.norm(dim=1, keepdim=True) for part in (code, audio)]
    batch = representation_loss(unit[0], unit[1], "batch")
    assert batch.item() == pytest.approx(representation_loss(unit[0], unit[1], "sample").item(), abs=1e-6)
    for norm in ("batch", "sample"):
        assert representation_loss(code, code, norm).item() == pytest.approx(0.0, abs=1e-6)
        assert representation_loss(code, -code, norm).item() == pytest.approx(2.0, abs=1e-6)
    printed = 1 - (code * audio).sum() / (code.square().sum().sqrt() * audio.square().sum().sqrt())
    assert representation_loss(code, audio, "batch").item() == pytest.approx(printed.item(), abs=1e-6)


def test_losses_sum_over_samples_and_average_over_the_batch() -> None:
    output, clips = torch.zeros(4, 100), torch.full((4, 100), 0.5)
    assert reconstruction_loss(output, clips).item() == pytest.approx(0.5 * 0.25 * 100)
    assert generation_loss(output, clips).item() == pytest.approx(0.5 * 0.25 * 100)
    assert generation_loss(output, 4 * clips).item() == pytest.approx(1.5 * 100)  # |2| - 0.5


def test_weight_penalties_are_eta4_times_lambda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Phase] = []
    monkeypatch.setattr(mtnet, "train", lambda phase, _run: seen.append(phase))
    task = task_of(200)
    MODEL.fit(examples_of(task), task, Config(**TINY), run_in(tmp_path))
    assert [(phase.name, phase.updates[0].optimiser.weight_decay) for phase in seen] == [
        ("autoencoder", pytest.approx(5e-4)),
        ("joint", pytest.approx(4e-4)),
    ]
    assert seen[0].items == 4  # the distinct clips, not the items
    assert set(seen[1].validation_ids) <= set(examples_of(task).ids)
    assert len(seen[1].validation_ids) == 120 - seen[1].items > 0


# ---------------------------------------------------------------------------------------------- training
def outputs(generator: Any, examples: Examples, batch: int) -> NDArray[np.float32]:
    parts = range(0, len(examples.ids), batch)
    return np.concatenate(
        [
            generator.generate(Conditions(examples.ids[i : i + batch], examples.images[i : i + batch]), "i2a")
            for i in parts
        ]
    )


def test_a_tiny_training_speaks_the_class(tmp_path: Path) -> None:
    task = task_of(200)
    examples, unseen = examples_of(task), examples_of(task, 32, seed=1)
    generator = MODEL.fit(examples, task, Config(**TINY), run_in(tmp_path))
    found = outputs(generator, unseen, 8)
    assert found.shape == (32, 200)
    assert found.dtype == np.float32
    assert np.abs(found).max() <= 1.0
    references = examples.clips / 32768.0
    distances = np.square(found[:, None] - references[None]).sum(axis=2)
    assert (distances.argmin(axis=1) == unseen.labels).mean() > 0.9  # not one mean clip for all
    classes = generator.predict(Conditions(unseen.ids, unseen.images))  # type: ignore[attr-defined]
    assert (classes == unseen.labels).mean() > 0.9
    np.testing.assert_allclose(found, outputs(generator, unseen, 5), atol=1e-5)
    again = MODEL.fit(examples, task, Config(**TINY), run_in(tmp_path, resume=True))
    np.testing.assert_array_equal(found, outputs(again, unseen, 8))


def test_the_autoencoder_overfits_eight_clips_without_collapse(tmp_path: Path) -> None:
    task = task_of(200, classes=8)
    config = Config(**{**TINY, "autoencoder_min_steps": 400})
    data = Tensors(examples_of(task), run_in(tmp_path))
    codes = mtnet.audio_codes_of(mtnet._train_autoencoder(data, task, config, run_in(tmp_path)), data)
    with (tmp_path / "curves.csv").open(newline="") as handle:
        errors = [float(row["value"]) for row in csv.DictReader(handle) if row["name"] == "validation-selection"]
    assert min(errors) < 0.05
    assert codes.shape == (8, 16)
    assert codes.std(dim=0).mean() > 0.05


@pytest.mark.parametrize(
    "changes",
    [
        {"use_rep": False, "use_per": False},
        {"use_per": False},
        {"dilation": 1},
        {"decoder": "ae"},
        {"rep_norm": "sample"},
        {"optimiser": "rmsprop-torch"},
        {"clip_norm": 5.0},
        {"channels_last": True},
        {"precision": "bf16"},
    ],
)
def test_every_variant_trains_on_colour_images(tmp_path: Path, changes: dict[str, Any]) -> None:
    task = task_of(60, size=16, channels=3)
    examples = examples_of(task, 32)
    config = Config(**{**TINY, "autoencoder_min_steps": 2, "joint_min_steps": 2, **changes})
    generator = MODEL.fit(examples, task, config, run_in(tmp_path))
    assert np.isfinite(outputs(generator, examples, 16)).all()
    classes = generator.predict(Conditions(examples.ids, examples.images))  # type: ignore[attr-defined]
    assert (classes is None) == (changes.get("use_per") is False)
    trained = {path.stem for path in (tmp_path / "checkpoints").iterdir()}
    assert trained == ({"joint"} if changes.get("use_rep") is False else {"autoencoder", "joint"})
