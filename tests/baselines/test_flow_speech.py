"""flow-speech: shapes and counts at full width, equations by hand, a tiny training, and what an output depends on."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench import content
from xmbench.baselines import flow_speech
from xmbench.baselines._flow_speech_network import Config, Flow, encoder_of
from xmbench.baselines.flow_speech import MODEL
from xmbench.errors import OutputError
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.interfaces import AudioFormat, Conditions, Examples, ImageFormat, Run, Task
from xmbench.networks import flow_matching
from xmbench.networks.images import moved, standardise
from xmbench.networks.listener import best_heard
from xmbench.networks.spectra import LogMel, frames_of, word_level

TINY: dict[str, Any] = {
    "window": 256,
    "hop": 64,
    "bands": 20,
    "f_max": 4000.0,
    "encoder": "classifier",
    "encoder_width": 8,
    "encoder_min_steps": 100,
    "encoder_epochs": 1,
    "denoiser": "frames-1d",
    "channels": 32,
    "blocks": 3,
    "description": 32,
    "learning_rate": 3e-3,
    "min_steps": 300,
    "batch": 32,
    "average": 0.98,
    "steps": 8,
    "guidance": 2.0,
    "precision": "float32",
    "vocoder_iterations": 8,
}
FULL = {"encoder": "resnet18", "denoiser": "unet-2d", "multipliers": (1, 2), "channels": 8}
RECIPES = [(18140, 28, 1, 10), (24020, 32, 3, 10), (29356, 32, 3, 100)]


def task_of(samples: int, size: int = 12, channels: int = 1, classes: int = 4, rate: int = 8000) -> Task:
    names = tuple(str(k) for k in range(classes))
    return Task(names, names, ImageFormat(size, size, channels), AudioFormat(rate, samples, 0.0, 10.0))


def examples_of(task: Task, count: int = 120, seed: int = 0) -> Examples:
    """Stripes whose distance is the class, and one tone per class."""
    classes, size = len(task.class_names), task.image.height_px
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = random.integers(0, 30, (count, size, size, task.image.channels)).astype(np.uint8)
    for i, label in enumerate(labels):
        images[i, :: label + 2] += 150
    time = np.arange(task.audio.samples) / task.audio.sample_rate_hz
    tones = [np.sin(2 * math.pi * 300 * (k + 1) * time) * np.exp(-time / time[-1]) for k in range(classes)]
    clips = np.round(np.stack(tones) * 6000).astype(np.int16)
    ids = tuple(f"item-{i:03d}" for i in range(count))
    return Examples(ids, labels, images, clips, labels.copy(), ids)


def run_in(folder: Path, resume: bool = False, seed: int = 0) -> Run:
    return Run(folder, seed, "cpu", resume, lambda _line: None)


def million(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def preset(name: str) -> Config:
    baseline = load_toml(content.find("baselines", "flow-speech"), Baseline)
    return Config(**baseline.configured(name or None, {}))


def conditions_of(examples: Examples, rows: slice = slice(None)) -> Conditions:
    return Conditions(examples.ids[rows], examples.images[rows])


# ------------------------------------------------------------------------------- shapes (meta device), settings
@pytest.mark.parametrize(("samples", "size", "channels", "classes"), RECIPES)
@pytest.mark.parametrize(("name", "denoiser", "encoder"), [("", 16.56, 11.2), ("lite", 1.53, 0.07)])
def test_shapes_and_parameter_counts_for_every_kind_of_set(
    samples: int, size: int, channels: int, classes: int, name: str, denoiser: float, encoder: float
) -> None:
    task, config = task_of(samples, size, channels, classes, 22_050), preset(name)
    with torch.device("meta"):
        seen = encoder_of(task, config).eval()
        flow = Flow(task, config, None, seen.size)
        condition, logits = seen(torch.empty(2, channels, size, size))
        assert condition.shape == (2, 512 if seen.joint else classes)
        assert logits.shape == (2, classes)
        spectra = torch.empty(2, 80, frames_of(samples, 256))
        found = flow(spectra, torch.empty(2), condition, torch.zeros(2, dtype=torch.bool))
        assert found.shape == spectra.shape
    assert million(seen) == pytest.approx(encoder, rel=0.15)
    assert million(flow) == pytest.approx(denoiser, rel=0.03)


def test_the_defaults_of_the_code_are_those_of_the_toml() -> None:
    baseline = load_toml(content.find("baselines", "flow-speech"), Baseline)
    assert Config(**baseline.config) == Config()
    assert baseline.config.keys() == Config.model_fields.keys()


@pytest.mark.parametrize("changes", [{"hop": 700}, {"f_min": 9000.0}, {"channels": 12}, {"drop": 1.0}])
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Config(**changes)


@pytest.mark.parametrize("name", ["", "lite", "labels"])
@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3)])
def test_every_pixel_has_a_gradient(name: str, size: int, channels: int) -> None:
    torch.manual_seed(0)
    encoder = encoder_of(task_of(18140, size, channels, 10, 22_050), preset(name)).eval()
    images = torch.randn(4, channels, size, size, requires_grad=True)
    condition = encoder(images)[0]
    (condition * torch.randn_like(condition)).sum().backward()
    assert images.grad is not None
    assert (images.grad.abs().amax(dim=0) > 0).all()


def test_without_labels_the_head_sends_nothing_back() -> None:
    task = task_of(18140, 28, 1, 10, 22_050)
    images = torch.randn(4, 1, 28, 28)
    for weight, expected in ((0.0, False), (0.1, True)):
        encoder = encoder_of(task, Config(encoder_width=8, label_weight=weight))
        encoder(images)[1].sum().backward()
        assert any(parameter.grad is not None for parameter in encoder.body.parameters()) is expected


# ---------------------------------------------------------------------------------------------- equations
def test_loss_by_hand() -> None:
    clean, time = torch.zeros(3, 2, 4), torch.tensor([0.0, 0.5, 0.99])
    found = torch.full((3, 2, 4), 0.2)
    # 0.2, 0.2 / 0.5 and, because 1 - t is at least 0.1, 0.2 / 0.1
    assert flow_matching.flow_loss(found, clean, time, 0.1).item() == pytest.approx((0.04 + 0.16 + 4.0) / 3)


def test_loss_is_that_of_the_velocity() -> None:
    torch.manual_seed(0)
    noise, clean, guess, time = torch.randn(5, 3, 4), torch.randn(5, 3, 4), torch.randn(5, 3, 4), torch.rand(5) * 0.8
    share = time[:, None, None]
    mixed = (1 - share) * noise + share * clean
    velocity = (guess - mixed) / (1 - share)
    expected = (velocity - (clean - noise)).square().mean().item()
    assert flow_matching.flow_loss(guess, clean, time, 0.1).item() == pytest.approx(expected, rel=1e-4)


class _Known(nn.Module):
    """Predicts the condition's first value everywhere, or 1 without a condition; counts its evaluations."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor, dropped: Tensor) -> Tensor:
        self.sizes.append(len(noisy))
        value = torch.where(dropped, torch.ones(len(noisy)), condition[:, 0])
        return value[:, None, None].expand_as(noisy)


@pytest.mark.parametrize(("guidance", "expected", "evaluated"), [(1.0, 3.0, 2), (0.0, 1.0, 4), (4.0, 9.0, 4)])
def test_the_last_step_arrives_at_the_guided_prediction(guidance: float, expected: float, evaluated: int) -> None:
    flow, condition = _Known(), torch.full((2, 5), 3.0)
    found = flow_matching.sample(flow, torch.randn(2, 3, 4), condition, 6, guidance)
    torch.testing.assert_close(found, torch.full((2, 3, 4), expected))  # 1 + guidance * (3 - 1)
    assert flow.sizes == [evaluated] * 6


def test_level_of_a_word_leaves_silence_out() -> None:
    waves = torch.zeros(3, 1000)
    waves[0, :100] = 0.3
    waves[1] = -0.2
    torch.testing.assert_close(word_level(waves), torch.tensor([0.3, 0.2, 1.0]))


def test_images_are_moved_by_at_most_what_is_asked() -> None:
    pixels = torch.zeros(64, 28, 28, 1, dtype=torch.uint8)
    pixels[:, 10:18, 10:18] = 200
    assert torch.equal(moved(pixels, 0.0, 0.0, 0.0), pixels.float())
    torch.manual_seed(0)
    found = moved(pixels, 0.0, 0.0, 2 / 28)[..., 0]
    rows = (found.sum(dim=2) * torch.arange(28)).sum(dim=1) / found.sum(dim=(1, 2))
    assert (rows - 13.5).abs().max() <= 2.01
    assert rows.std() > 0.5
    turned = moved(pixels, 12.0, 0.1, 0.0)
    assert turned.shape == pixels.shape
    assert turned.min() >= 0
    assert turned.max() <= 200.01


# ---------------------------------------------------------------------------------------------- training
def spectra_of(waves: NDArray[np.float32], task: Task, config: Config) -> Tensor:
    mel = LogMel(task.audio.sample_rate_hz, config.window, config.hop, config.bands, config.f_min, config.f_max, 1e-3)
    given = torch.from_numpy(np.asarray(waves, dtype=np.float32))
    found: Tensor = mel(given * (config.level / word_level(given))[:, None])
    return found


def test_eight_pairs_are_learnt_by_heart(tmp_path: Path) -> None:
    task = task_of(2000, size=24, classes=8)
    config = Config(**{**TINY, "channels": 64, "blocks": 2, "min_steps": 400, "guidance": 3.0})
    examples = examples_of(task, 8)
    generator = MODEL.fit(examples, task, config, run_in(tmp_path))
    found = generator.generate(conditions_of(examples), "i2a")
    assert found.shape == (8, 2000)
    assert found.dtype == np.float32
    made = spectra_of(found, task, config)
    known = spectra_of(examples.as_outputs(np.arange(8), "i2a"), task, config)
    distances = (made[:, None] - known[None]).square().mean(dim=(2, 3))
    assert torch.equal(distances.argmin(dim=1), torch.arange(8))
    assert distances.diagonal().mean() < 0.5 * distances.mean()


def test_an_unseen_image_gives_its_class_and_another_image_another(tmp_path: Path) -> None:
    task, config = task_of(2000), Config(**{**TINY, "guidance": 3.0})
    examples, unseen = examples_of(task), examples_of(task, 24, seed=1)
    generator = MODEL.fit(examples, task, config, run_in(tmp_path))
    known = spectra_of(examples.as_outputs(np.arange(4), "i2a"), task, config)

    def classes_of(conditions: Conditions) -> NDArray[np.int64]:
        made = spectra_of(generator.generate(conditions, "i2a"), task, config)
        return np.asarray((made[:, None] - known[None]).square().mean(dim=(2, 3)).argmin(dim=1))

    assert (classes_of(conditions_of(unseen)) == unseen.labels).mean() > 0.9
    shuffled = Conditions(unseen.ids, np.roll(unseen.images, 1, axis=0))
    assert (classes_of(shuffled) == np.roll(unseen.labels, 1)).mean() > 0.9  # the image speaks, not the id
    recognised = generator.predict(conditions_of(unseen))  # type: ignore[attr-defined]
    assert (recognised == unseen.labels).mean() > 0.9


def test_an_output_depends_on_seed_and_id_and_not_on_its_batch(tmp_path: Path) -> None:
    task = task_of(4000)
    examples = examples_of(task, 40)
    config = Config(**{**TINY, "encoder_min_steps": 5, "min_steps": 10})
    generator = MODEL.fit(examples, task, config, run_in(tmp_path))
    together = generator.generate(conditions_of(examples), "i2a")
    for rows in (slice(0, 1), slice(7, 20), slice(39, 40)):
        np.testing.assert_allclose(generator.generate(conditions_of(examples, rows), "i2a"), together[rows], atol=1e-4)
    backwards = generator.generate(conditions_of(examples, slice(None, None, -1)), "i2a")[::-1]
    np.testing.assert_allclose(backwards, together, atol=1e-4)
    np.testing.assert_array_equal(generator.generate(conditions_of(examples), "i2a"), together)
    same_image = Conditions(("one", "two"), examples.images[[0, 0]])
    first, second = generator.generate(same_image, "i2a")
    assert np.abs(first - second).max() > 0.01


def test_another_seed_gives_another_take(tmp_path: Path) -> None:
    task = task_of(4000)
    examples = examples_of(task, 20)
    config = Config(**{**TINY, "encoder_min_steps": 2, "min_steps": 2})
    outputs = [
        MODEL.fit(examples, task, config, run_in(tmp_path / str(seed), seed=seed)).generate(
            conditions_of(examples), "i2a"
        )
        for seed in (0, 1)
    ]
    assert np.abs(outputs[0] - outputs[1]).max() > 0.01


def test_the_listener_takes_the_candidate_that_it_hears_as_the_wanted_word() -> None:
    clear, other, mute = torch.tensor([4.0, 0.0, 0.0]), torch.tensor([0.0, 4.0, 0.0]), torch.zeros(3)
    logits = torch.stack([torch.stack([mute, other, clear]), torch.stack([clear, other, other])])
    wanted = torch.tensor([[1.0, 0.0, 0.0], [0.1, 0.9, 0.0]])
    assert best_heard(logits, wanted).tolist() == [2, 1]  # of equals the first


def test_more_candidates_say_more_of_the_words(tmp_path: Path) -> None:
    """A flow that is hardly trained says any word; what a listener takes of sixteen spectra is the right one."""
    task = task_of(2000)
    examples, unseen = examples_of(task), examples_of(task, 24, seed=1)
    small = {**TINY, "drop": 0.99, "min_steps": 200, "guidance": 1.0, "listener_min_steps": 60, "listener_width": 16}
    known = spectra_of(examples.as_outputs(np.arange(4), "i2a"), task, Config(**small))
    right = []
    for candidates in (2, 16):  # the second run listens with what the first has trained
        config = Config(**{**small, "candidates": candidates})
        generator = MODEL.fit(examples, task, config, run_in(tmp_path, resume=candidates > 2))
        made = spectra_of(generator.generate(conditions_of(unseen), "i2a"), task, config)
        right.append((made[:, None] - known[None]).square().mean(dim=(2, 3)).argmin(dim=1).numpy() == unseen.labels)
    assert right[1].mean() > right[0].mean() + 0.1
    assert right[1].mean() > 0.8
    one = MODEL.fit(examples, task, Config(**small), run_in(tmp_path, resume=True))
    assert np.isfinite(one.generate(conditions_of(unseen), "i2a")).all()  # one candidate needs no listener


def _stopped(call: int, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same function; at that call, the process gets the signal of Ctrl-C."""
    calls: list[int] = []

    def counted(*values: Any) -> Tensor:
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGINT)
        return function(*values)

    return counted


@pytest.mark.parametrize("changes", [{}, {**FULL, "encoder_width": 8, "batch": 8}])
def test_stopped_and_resumed_gives_the_same_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    task = task_of(1500)
    examples = examples_of(task, 40)
    config = Config(**{**TINY, "encoder_min_steps": 4, "min_steps": 8, "precision": "bf16", **changes})
    whole = MODEL.fit(examples, task, config, run_in(tmp_path / "whole"))
    with monkeypatch.context() as patched:
        patched.setattr(flow_speech, "flow_loss", _stopped(5, flow_matching.flow_loss))
        with pytest.raises(KeyboardInterrupt):
            MODEL.fit(examples, task, config, run_in(tmp_path / "broken"))
    assert (tmp_path / "broken" / "checkpoints" / "flow.pt").is_file()
    resumed = MODEL.fit(examples, task, config, run_in(tmp_path / "broken", resume=True))
    part = conditions_of(examples, slice(0, 6))
    np.testing.assert_array_equal(whole.generate(part, "i2a"), resumed.generate(part, "i2a"))


def test_weights_serve_other_settings_of_the_generation_and_no_others(tmp_path: Path) -> None:
    task = task_of(4000)
    examples = examples_of(task, 20)
    small = {**TINY, "encoder_min_steps": 2, "min_steps": 2}
    MODEL.fit(examples, task, Config(**small), run_in(tmp_path))
    trained = (tmp_path / "checkpoints" / "flow.safetensors").read_bytes()
    generator = MODEL.fit(examples, task, Config(**{**small, "guidance": 6.0, "steps": 3}), run_in(tmp_path, True))
    assert np.isfinite(generator.generate(conditions_of(examples), "i2a")).all()
    assert (tmp_path / "checkpoints" / "flow.safetensors").read_bytes() == trained
    with pytest.raises(OutputError, match="another training"):
        MODEL.fit(examples, task, Config(**{**small, "min_steps": 3}), run_in(tmp_path, True))


@pytest.mark.parametrize("changes", [FULL, {**FULL, "label_weight": 0.1}, {"precision": "bf16"}, {"together": 3}])
def test_every_variant_trains_on_colour_images_of_many_classes(tmp_path: Path, changes: dict[str, Any]) -> None:
    task = task_of(1700, size=16, channels=3, classes=7)
    examples = examples_of(task, 42)
    config = Config(**{**TINY, "encoder_min_steps": 2, "min_steps": 2, "batch": 8, "shift": 0.1, **changes})
    generator = MODEL.fit(examples, task, config, run_in(tmp_path))
    found = generator.generate(conditions_of(examples, slice(0, 5)), "i2a")
    assert found.shape == (5, 1700)
    assert np.isfinite(found).all()
    assert np.abs(found).max() <= 1.0
    assert generator.predict(conditions_of(examples)).shape == (42,)  # type: ignore[attr-defined]
    assert standardise(torch.from_numpy(examples.images)).shape == (42, 3, 16, 16)
