"""The rows `dcmavg-i2s` and `cmcgan`: a gradient for every input, tiny trainings, resuming, both ways to a waveform."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.conftest import ROOT
from xmbench.baselines import _adversarial, cmcgan, dcmavg_i2s
from xmbench.baselines._adversarial import square
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.interfaces import AudioFormat, Conditions, Direction, Examples, Generator, ImageFormat, Run, Task
from xmbench.networks.class_encoders import ImageClassifier, SoundClassifier
from xmbench.training import Phase

NAMES = ("dcmavg-i2s", "cmcgan", "cmcgan-i2s")
ROWS = {name: load_toml(ROOT / "baselines" / f"{name}.toml", Baseline) for name in NAMES}
MODELS: dict[str, Any] = {"dcmavg-i2s": dcmavg_i2s, "cmcgan": cmcgan, "cmcgan-i2s": cmcgan}
PRESETS = [(name, preset) for name, row in ROWS.items() for preset in (None, *row.presets)]
TINY: dict[str, Any] = {
    "image_widths": (4, 8, 8),
    "image_hidden": 32,
    "sound_widths": (4, 4, 8, 8),
    "sound_hidden": 32,
    "classifier_lr": 3e-3,
    "classifier_epochs": 1,
    "classifier_min_steps": 25,
    "classifier_batch": 16,
    "generator_width": 4,
    "discriminator_width": 4,
    "lr": 1e-3,
    "epochs": 1,
    "min_steps": 4,
    "batch": 8,
    "spec2wav_channels": (4, 4, 4),
    "spec2wav_hidden": (32, 32),
    "spec2wav_lr": 1e-3,
    "spec2wav_epochs": 1,
    "spec2wav_min_steps": 30,
}
TASK = Task(("0", "1"), ("zero", "one"), ImageFormat(12, 12, 1), AudioFormat(8000, 2400, 0.0, 1.0))


def examples_of(count: int = 48, seed: int = 0) -> Examples:
    """Lying and standing stripes; a low and a high decaying tone."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = random.integers(0, 60, (count, 12, 12, 1)).astype(np.uint8)
    images[labels == 0, ::4] = 220
    images[labels == 1, :, ::4] = 220
    time = np.arange(2400) / 8000
    tones = [np.sin(2 * math.pi * pitch * time) * np.exp(-6 * time) for pitch in (250, 1500)]
    clips = np.round(np.stack(tones) * 12000).astype(np.int16)
    ids = tuple(f"item-{i:03d}" for i in range(count))
    return Examples(ids, labels, images, clips, labels.copy(), ids)


def run_in(folder: Path, **changes: Any) -> Run:
    return dataclasses.replace(Run(folder, 0, "cpu", False, lambda _line: None), **changes)


def outputs(generator: Generator, examples: Examples, direction: Direction, batch: int = 16) -> NDArray[Any]:
    inputs = examples.images if direction == "i2a" else examples.clips[examples.clip_index]
    parts = range(0, len(examples.ids), batch)
    made = [Conditions(examples.ids[i : i + batch], inputs[i : i + batch]) for i in parts]
    return np.concatenate([generator.generate(part, direction) for part in made])


# ---------------------------------------------------------------------------------------------- the rows
@pytest.mark.parametrize("name", ROWS)
def test_the_settings_of_the_row_are_the_defaults_of_the_code(name: str) -> None:
    config = MODELS[name].Config
    assert config(**ROWS[name].config) == config()
    assert set(ROWS[name].config) == set(config.model_fields)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_every_input_has_a_gradient(name: str, preset: str | None) -> None:
    config = MODELS[name].Config(**ROWS[name].configured(preset, {}))
    torch.manual_seed(0)
    size = (28, 28, 1)
    pixels = torch.randint(0, 256, (6, *size)).float().requires_grad_()
    sounds = (torch.rand(6, 1, 128, 34) * 2 - 1).requires_grad_()
    if name == "dcmavg-i2s":
        image_encoder = ImageClassifier(10, config.image_widths, config.image_hidden).encode
        sound_encoder = SoundClassifier(10, config.sound_widths, config.sound_hidden).encode
    else:
        makers = cmcgan.Makers(config)
        image_encoder, sound_encoder = makers.see, makers.hear
    for encoder, items, given in ((image_encoder, square(pixels), pixels), (sound_encoder, sounds, sounds)):
        encoded = encoder(items)
        (encoded * torch.randn_like(encoded)).sum().backward()  # type: ignore[no-untyped-call]
        assert given.grad is not None
        assert (given.grad.abs().sum(dim=0) > 0).all()


@pytest.mark.parametrize("width", [4, 8])
def test_the_four_paths_share_two_encoders_and_two_generators(width: int) -> None:
    makers = cmcgan.Makers(cmcgan.Config(generator_width=width, discriminator_width=width))
    assert [name for name, _ in makers.named_children()] == ["see", "hear", "draw", "say"]
    images, sounds, noise = torch.randn(2, 3, 64, 64), torch.randn(2, 1, 128, 34), torch.randn(2, 100)
    ends = {"V->A": ("see", "say"), "A->V": ("hear", "draw"), "V->V": ("see", "draw"), "A->A": ("hear", "say")}
    for path, used in ends.items():
        makers.zero_grad()
        made = makers(images if path[0] == "V" else sounds, path, noise)
        assert made.shape == (images.shape if path[-1] == "V" else sounds.shape)
        (made * torch.randn_like(made)).sum().backward()
        learned = {name for name, part in makers.named_children() for p in part.parameters() if p.grad is not None}
        assert learned == set(used)


def test_full_width_of_the_four_paths() -> None:
    with torch.device("meta"):
        pair = cmcgan.Adversaries(cmcgan.Config())
    counts = {name: sum(p.numel() for p in part.parameters()) / 1e6 for name, part in pair.named_children()}
    assert counts == {"makers": pytest.approx(43.2, abs=0.1), "discriminator": pytest.approx(10.1, abs=0.1)}


# ---------------------------------------------------------------------------------------------- training
def test_dcmavg_is_the_same_in_any_batch_and_after_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples, unseen = examples_of(), examples_of(12, seed=1)
    config = dcmavg_i2s.Config(**TINY)
    generator = dcmavg_i2s.MODEL.fit(examples, TASK, config, run_in(tmp_path / "whole"))
    found = outputs(generator, unseen, "i2a")
    assert found.shape == (12, 2400)
    assert found.dtype == np.float32
    assert np.abs(found).max() <= 1.0
    classes = generator.predict(Conditions(unseen.ids, unseen.images))  # type: ignore[attr-defined]
    assert (classes == unseen.labels).mean() > 0.9
    np.testing.assert_allclose(found, outputs(generator, unseen, "i2a", batch=5), atol=1e-4)

    def interrupt(line: str) -> None:
        if line.startswith("adversaries: step 2"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("xmbench.training.loop.REPORT_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        dcmavg_i2s.MODEL.fit(examples, TASK, config, run_in(tmp_path / "broken", progress=interrupt))
    again = dcmavg_i2s.MODEL.fit(examples, TASK, config, run_in(tmp_path / "broken", resume=True))
    np.testing.assert_array_equal(found, outputs(again, unseen, "i2a"))


def test_a_small_network_learns_to_sound_eight_pairs_of_two_classes(tmp_path: Path) -> None:
    examples = examples_of(8)
    settings = {"generator_width": 8, "discriminator_width": 8, "lr": 1e-3, "min_steps": 160, "average": 0.9}
    config = dcmavg_i2s.Config(**{**TINY, **settings}, waveform="griffin-lim")
    generator = dcmavg_i2s.MODEL.fit(examples, TASK, config, run_in(tmp_path))
    made = outputs(generator, examples, "i2a")
    pitches = np.abs(np.fft.rfft(made, axis=1)).argmax(axis=1) * 8000 / 2400
    np.testing.assert_allclose(pitches, np.array([250.0, 1500.0])[examples.labels], rtol=0.25)  # Hz


def test_both_ways_to_a_waveform_have_the_same_adversaries(tmp_path: Path) -> None:
    examples = examples_of(24)
    made = {}
    for waveform in ("spec2wav", "griffin-lim"):
        folder = tmp_path / waveform
        config = dcmavg_i2s.Config(**TINY, waveform=waveform)
        generator = dcmavg_i2s.MODEL.fit(examples, TASK, config, run_in(folder))
        made[waveform] = outputs(generator, examples, "i2a")
        assert np.isfinite(made[waveform]).all()
        assert (folder / "checkpoints" / "spec2wav.safetensors").is_file() == (waveform == "spec2wav")
    weights = [(tmp_path / way / "checkpoints" / "adversaries.safetensors").read_bytes() for way in made]
    assert weights[0] == weights[1]
    assert not np.array_equal(made["spec2wav"], made["griffin-lim"])
    np.testing.assert_allclose(made["griffin-lim"], outputs(generator, examples, "i2a", batch=7), atol=1e-3)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_outputs_and_classes_of_one_pass_are_those_of_separate_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    examples = examples_of(24)
    config = dcmavg_i2s.Config(**TINY, waveform="griffin-lim", precision=precision)
    generator: Any = dcmavg_i2s.MODEL.fit(examples, TASK, config, run_in(tmp_path))
    conditions = Conditions(examples.ids, examples.images)
    passes: list[int] = []
    encode = ImageClassifier.encode

    def counted(encoder: ImageClassifier, images: torch.Tensor) -> torch.Tensor:
        passes.append(len(images))
        return encode(encoder, images)

    with monkeypatch.context() as patched:
        patched.setattr(ImageClassifier, "encode", counted)
        waves, classes = generator.generate_and_predict(conditions, "i2a")
    assert passes == [24]
    np.testing.assert_array_equal(waves, generator.generate(conditions, "i2a"))
    np.testing.assert_array_equal(classes, generator.predict(conditions))


@pytest.mark.parametrize("directions", [("i2a", "a2i"), ("i2a",), ("a2i",)])
def test_one_training_of_cmcgan_serves_its_directions(tmp_path: Path, directions: tuple[Direction, ...]) -> None:
    examples = examples_of(24)
    config = cmcgan.Config(**TINY, waveform="griffin-lim")
    run = run_in(tmp_path, directions=directions)
    generator = cmcgan.MODEL.fit(examples, TASK, config, run)
    for direction in directions:
        found = outputs(generator, examples, direction)
        assert found.shape == ((24, 2400) if direction == "i2a" else (24, 12, 12, 1))
        assert found.dtype == (np.float32 if direction == "i2a" else np.uint8)
        small = outputs(generator, examples, direction, batch=5)
        np.testing.assert_allclose(found.astype(float), small.astype(float), atol=1e-3 if direction == "i2a" else 1)
    phases = {path.stem for path in (tmp_path / "checkpoints").iterdir()}
    judges = {"i2a": "sound-classifier", "a2i": "image-classifier"}
    assert phases == {"adversaries", *(judges[direction] for direction in directions)}
    again = cmcgan.MODEL.fit(examples, TASK, config, dataclasses.replace(run, resume=True))
    np.testing.assert_array_equal(outputs(again, examples, directions[0]), outputs(generator, examples, directions[0]))


def test_a_stopped_cmcgan_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples, config = examples_of(24), cmcgan.Config(**TINY, waveform="griffin-lim")
    whole = cmcgan.MODEL.fit(examples, TASK, config, run_in(tmp_path / "whole", directions=("i2a",)))

    def interrupt(line: str) -> None:
        if line.startswith("adversaries: step 2"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("xmbench.training.loop.REPORT_EVERY_S", 0.0)
    run = run_in(tmp_path / "broken", directions=("i2a",), progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        cmcgan.MODEL.fit(examples, TASK, config, run)
    resumed = cmcgan.MODEL.fit(examples, TASK, config, dataclasses.replace(run, resume=True, progress=lambda _: None))
    np.testing.assert_array_equal(outputs(whole, examples, "i2a"), outputs(resumed, examples, "i2a"))


@pytest.mark.parametrize(
    "changes", [{"width": "np-resize"}, {"wrong_weight": 0.0}, {"precision": "bf16"}, {"channels_last": True}]
)
def test_every_variant_trains_on_colour_images(tmp_path: Path, changes: dict[str, Any]) -> None:
    task = dataclasses.replace(TASK, image=ImageFormat(12, 12, 3))
    grey = examples_of(24)
    examples = dataclasses.replace(grey, images=grey.images.repeat(3, axis=3))
    config = dcmavg_i2s.Config(**TINY, waveform="griffin-lim", **changes)
    generator = dcmavg_i2s.MODEL.fit(examples, task, config, run_in(tmp_path))
    assert np.isfinite(outputs(generator, examples, "i2a")).all()


@pytest.mark.parametrize(("items", "batch", "apart"), [(368, 16, 300), (1800, 16, 448), (71_230, 64, 4448)])
def test_in_a_small_set_the_rate_is_not_halved_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, items: int, batch: int, apart: int
) -> None:
    phases: list[Phase] = []
    monkeypatch.setattr(_adversarial, "train", lambda phase, run: phases.append(phase))
    config = dcmavg_i2s.Config(batch=batch, epochs=1, halve_every=4)
    rows = types.SimpleNamespace(rows=torch.arange(items), held_out=torch.arange(0), validation_ids=())
    pair = dcmavg_i2s.Adversaries(dcmavg_i2s.Config(**TINY))
    updates = [("generator", pair.generator, lambda positions: {"loss": torch.zeros(())})]
    _adversarial.train_adversaries(pair, updates, dict, rows, config, run_in(tmp_path))  # type: ignore[arg-type]
    assert phases[0].updates[0].optimiser.decay_steps == (apart,)
