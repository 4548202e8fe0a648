"""flow-image: shapes and counts at full width, the flow's images, a tiny training, and what an output depends on."""

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
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench import content
from xmbench.baselines import flow_image
from xmbench.baselines._flow_image_network import Config, Flow
from xmbench.baselines._sound_classifier import encoder_of
from xmbench.baselines.flow_image import MODEL
from xmbench.errors import OutputError
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.interfaces import AudioFormat, Conditions, Examples, ImageFormat, Run, Task
from xmbench.networks import flow_matching
from xmbench.networks.sound_encoder import SoundEncoder, masked
from xmbench.training import Tensors

TINY: dict[str, Any] = {
    "encoder_widths": (8, 8),
    "embedding": 16,
    "judge_width": 4,
    "classifier_epochs": 1,
    "classifier_min_steps": 40,
    "classifier_batch": 32,
    "patch": 4,
    "channels": 16,
    "multipliers": (1, 2),
    "blocks": 1,
    "description": 32,
    "learning_rate": 5e-3,
    "min_steps": 100,
    "batch": 32,
    "average": 0.95,
    "steps": 8,
    "precision": "float32",
}
SHORT = {**TINY, "classifier_min_steps": 2, "min_steps": 2}
KINDS = ["sound", "class"]


def task_of(size: int = 12, channels: int = 1, classes: int = 3, width: int | None = None) -> Task:
    names = tuple(str(k) for k in range(classes))
    return Task(names, names, ImageFormat(size, width or size, channels), AudioFormat(8000, 4000, 0.0, 1.0))


def examples_of(task: Task, count: int = 120, seed: int = 0, groups: int = 0) -> Examples:
    """Stripes whose distance is the class, on one of two sides; a tone per class, early or late as the side says."""
    classes, image = len(task.class_names), task.image
    random = np.random.default_rng(seed)
    labels, late = np.arange(count) % classes, np.arange(count) // classes % 2
    images = random.integers(0, 30, (count, image.height_px, image.width_px, image.channels)).astype(np.uint8)
    time = np.arange(task.audio.samples) / task.audio.sample_rate_hz
    clips = np.zeros((count, task.audio.samples))
    half = image.width_px // 2
    for i, (label, side) in enumerate(zip(labels, late, strict=True)):
        images[i, :: label + 2, side * half : side * half + half] += 180
        tone = np.sin(2 * math.pi * 400 * (label + 1) * time + random.uniform(0, 6))
        clips[i] = tone * ((time > 0.25) == side) * random.uniform(0.5, 1.0)
    ids = tuple(f"item-{i:03d}" for i in range(count))
    kept = tuple(f"take-{i % groups}" for i in range(count)) if groups else ids
    return Examples(ids, labels, images, np.round(clips * 6000).astype(np.int16), np.arange(count), kept)


def run_in(folder: Path, resume: bool = False, seed: int = 0) -> Run:
    return Run(folder, seed, "cpu", resume, lambda _line: None)


def preset(name: str) -> Config:
    baseline = load_toml(content.find("baselines", "flow-image"), Baseline)
    return Config(**baseline.configured(name or None, {}))


def conditions_of(examples: Examples, rows: slice = slice(None)) -> Conditions:
    return Conditions(examples.ids[rows], examples.clips[rows])


def drawn(generator: Any, conditions: Conditions) -> NDArray[np.int64]:
    return np.asarray(generator.generate(conditions, "a2i"), dtype=np.int64)


def nearest_item(images: NDArray[np.int64], examples: Examples) -> NDArray[np.int64]:
    apart = images[:, None] - examples.images[None].astype(np.int64)
    return np.asarray(np.square(apart).reshape(len(images), len(examples.ids), -1).sum(axis=2).argmin(axis=1))


def million(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


# ---------------------------------------------------------------------------------- shapes (meta device), settings
@pytest.mark.parametrize(("size", "channels", "classes"), [(64, 3, 13), (28, 1, 10), (32, 3, 100)])
@pytest.mark.parametrize(
    ("name", "denoiser", "encoder"), [("", 16.6, 11.2), ("lite", 4.4, 0.35), ("lite,class-only", 4.4, 0.35)]
)
def test_shapes_and_parameter_counts(
    size: int, channels: int, classes: int, name: str, denoiser: float, encoder: float
) -> None:
    task, config = task_of(size, channels, classes), preset(name)
    with torch.device("meta"):
        heard = encoder_of(task, config)
        flow = Flow(task, config, None)
        condition, logits = heard(torch.empty(2, 1, 128, 34))
        assert condition.shape == (2, config.embedding)
        assert logits.shape == (2, classes)
        images = torch.empty(2, channels, size, size)
        told = torch.empty(2, classes) if config.condition == "class" else condition
        assert flow(images, torch.empty(2), told, torch.zeros(2, dtype=torch.bool)).shape == images.shape
    assert heard.size == config.embedding
    assert million(heard) == pytest.approx(encoder, rel=0.15)
    assert million(flow) == pytest.approx(denoiser, rel=0.06)


@pytest.mark.parametrize("changes", [{"channels": 12}, {"drop": 1.0}, {"patch": 0}, {"condition": "word"}, {"mask": 1}])
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Config(**changes)


def test_without_labels_the_head_sends_nothing_back() -> None:
    for expected in (False, True):
        encoder = SoundEncoder((128, 34), 3, (8, 8), 16, expected)
        encoder(torch.randn(2, 1, 128, 34))[1].sum().backward()
        assert any(parameter.grad is not None for parameter in encoder.body.parameters()) is expected


def test_the_embedding_tells_when_something_sounds() -> None:
    torch.manual_seed(0)
    encoder = SoundEncoder((128, 34), 3, (8, 8), 16)
    early, late = torch.full((1, 1, 128, 34), -1.0), torch.full((1, 1, 128, 34), -1.0)
    early[..., 40:50, 4:8] = late[..., 40:50, 24:28] = 1.0
    assert (encoder(early)[0] - encoder(late)[0]).abs().max() > 0.05


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 0.9), st.integers(0, 1000))
def test_a_mask_silences_whole_bands_and_frames_and_no_more_than_its_share(share: float, seed: int) -> None:
    torch.manual_seed(seed)
    given_ones = torch.ones(5, 1, 40, 20)
    found = masked(given_ones, share)
    assert set(found.unique().tolist()) <= {-1.0, 1.0}  # type: ignore[no-untyped-call]
    for one in found[:, 0]:
        bands, frames = (one == -1.0).all(dim=1).sum(), (one == -1.0).all(dim=0).sum()
        assert bands <= share * 40 + 1
        assert frames <= share * 20 + 1
        assert (one == -1.0).sum() == bands * 20 + frames * 40 - bands * frames


# --------------------------------------------------------------------------------------------- images of the flow
@pytest.mark.parametrize(("size", "width", "side"), [(12, None, 64), (10, 14, 64), (40, None, 16)])
def test_images_survive_the_way_into_the_flow_and_back(tmp_path: Path, size: int, width: int | None, side: int) -> None:
    task = task_of(size, channels=3, width=width)
    random = np.random.default_rng(0)
    examples = examples_of(task, 24)
    smooth = np.linspace(0, 200, size)[None, :, None, None] + random.uniform(0, 55, (24, 1, 1, 3))
    examples.images[:] = np.broadcast_to(smooth, examples.images.shape).astype(np.uint8)
    data = Tensors(examples, run_in(tmp_path))
    flow = Flow(task, Config(**{**TINY, "side": side, "patch": 4}), None)
    flow.measure(data)
    pixels = torch.from_numpy(examples.images)
    found = flow.normalised(pixels)
    assert max(found.shape[2:]) <= side
    assert found[data.rows].mean(dim=(0, 2, 3)).abs().max() < 0.01
    assert (found[data.rows].std(dim=(0, 2, 3)) - 1.0).abs().max() < 0.01
    apart = np.abs(flow.pixels(found, task).astype(int) - examples.images)
    assert apart.max() <= (0 if side >= size else 8)
    noisy = torch.randn(2, *found.shape[1:])
    assert flow(noisy, torch.rand(2), torch.randn(2, 16), torch.zeros(2, dtype=torch.bool)).shape == noisy.shape


# ---------------------------------------------------------------------------------------------------- training
def trained(folder: Path, task: Task, examples: Examples, kind: str, steps: int) -> Any:
    config = Config(**{**TINY, "condition": kind, "min_steps": steps})
    return MODEL.fit(examples, task, config, run_in(folder))


def test_an_unseen_sound_gives_an_image_of_its_class_and_what_is_beyond_it(tmp_path: Path) -> None:
    task = task_of()
    examples, unseen = examples_of(task), examples_of(task, 24, seed=1)
    found = nearest_item(drawn(trained(tmp_path, task, examples, "sound", 100), conditions_of(unseen)), examples)
    assert (examples.labels[found] == unseen.labels).mean() > 0.9
    assert (found // 3 % 2 == np.arange(24) // 3 % 2).mean() > 0.8  # the side of the stripes


def test_told_the_class_alone_the_rest_is_chance(tmp_path: Path) -> None:
    task = task_of()
    examples, unseen = examples_of(task), examples_of(task, 24, seed=1)
    generator = trained(tmp_path, task, examples, "class", 60)
    found = nearest_item(drawn(generator, conditions_of(unseen)), examples)
    assert (examples.labels[found] == unseen.labels).mean() > 0.9
    assert 0.2 < (found // 3 % 2 == np.arange(24) // 3 % 2).mean() < 0.8
    assert (generator.predict(conditions_of(unseen)) == unseen.labels).mean() > 0.9
    shuffled = Conditions(unseen.ids, np.roll(unseen.clips, 1, axis=0))
    found = nearest_item(drawn(generator, shuffled), examples)
    assert (examples.labels[found] == np.roll(unseen.labels, 1)).mean() > 0.9  # the sound draws, not the id


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_depends_on_the_seed_and_its_id_alone(tmp_path: Path, kind: str) -> None:
    task = task_of(channels=3)
    examples, config = examples_of(task, 20), Config(**{**SHORT, "condition": kind, "min_steps": 4})
    generator: Any = MODEL.fit(examples, task, config, run_in(tmp_path))
    together = drawn(generator, conditions_of(examples))
    assert together.shape == (20, 12, 12, 3)
    np.testing.assert_array_equal(drawn(generator, conditions_of(examples)), together)
    alone = np.concatenate([drawn(generator, conditions_of(examples, slice(i, i + 1))) for i in range(6)])
    backwards = drawn(generator, conditions_of(examples, slice(None, None, -1)))[::-1]
    assert np.abs(alone - together[:6]).max() <= 1  # a level of 256, where a value is rounded
    assert np.abs(backwards - together).max() <= 1
    assert (alone != together[:6]).mean() < 0.01
    first, second = drawn(generator, Conditions(("one", "two"), examples.clips[[0, 0]]))
    assert np.abs(first - second).max() > 5
    outputs, classes = generator.generate_and_predict(conditions_of(examples), "a2i")
    np.testing.assert_array_equal(outputs, together)
    np.testing.assert_array_equal(classes, generator.predict(conditions_of(examples)))
    other: Any = MODEL.fit(examples, task, config, run_in(tmp_path / "other", seed=1))
    assert np.abs(drawn(other, conditions_of(examples)) - together).max() > 5


def test_held_out_items_are_whole_groups_and_select_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of()
    examples = examples_of(task, 90, groups=30)
    data = Tensors(examples, run_in(tmp_path))
    kept, held = ({examples.groups[i] for i in rows.tolist()} for rows in (data.rows, data.held_out))
    assert held
    assert not kept & held
    values = iter([0.9, 0.1, *[0.5] * 20])
    monkeypatch.setattr(flow_image._Selection, "__call__", lambda _self: {"selection": next(values)})
    run = run_in(tmp_path)
    MODEL.fit(examples, task, Config(**{**SHORT, "min_steps": 16}), run)
    assert (run.phases["flow"].done, run.phases["flow"].selected) == (16, 4)  # the second of eight validations


def _stopped(call: int, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same function; at that call, the process gets the signal of Ctrl-C."""
    calls: list[int] = []

    def counted(*values: Any) -> Tensor:
        calls.append(1)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGINT)
        return function(*values)

    return counted


@pytest.mark.parametrize("changes", [{"condition": "class"}, {"labels_first": True}])
def test_stopped_and_resumed_gives_the_same_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    task = task_of()
    examples, config = examples_of(task, 40), Config(**{**SHORT, "min_steps": 8, **changes})
    whole: Any = MODEL.fit(examples, task, config, run_in(tmp_path / "whole"))
    with monkeypatch.context() as patched:
        patched.setattr(flow_image, "flow_loss", _stopped(5, flow_matching.flow_loss))
        with pytest.raises(KeyboardInterrupt):
            MODEL.fit(examples, task, config, run_in(tmp_path / "broken"))
    assert (tmp_path / "broken" / "checkpoints" / "flow.pt").is_file()
    resumed: Any = MODEL.fit(examples, task, config, run_in(tmp_path / "broken", resume=True))
    part = conditions_of(examples, slice(0, 6))
    np.testing.assert_array_equal(drawn(whole, part), drawn(resumed, part))


def test_weights_serve_other_settings_of_the_generation_and_no_others(tmp_path: Path) -> None:
    task = task_of()
    examples = examples_of(task, 20)
    MODEL.fit(examples, task, Config(**SHORT), run_in(tmp_path))
    trained = (tmp_path / "checkpoints" / "flow.safetensors").read_bytes()
    generator = MODEL.fit(examples, task, Config(**{**SHORT, "guidance": 6.0, "steps": 3}), run_in(tmp_path, True))
    assert drawn(generator, conditions_of(examples)).shape == (20, 12, 12, 1)
    assert (tmp_path / "checkpoints" / "flow.safetensors").read_bytes() == trained
    with pytest.raises(OutputError, match="another training"):
        MODEL.fit(examples, task, Config(**{**SHORT, "min_steps": 3}), run_in(tmp_path, True))


@pytest.mark.parametrize(
    "changes", [{"label_weight": 0.1}, {"labels_first": True}, {"precision": "bf16"}, {"patch": 1}, {"side": 8}]
)
def test_every_variant_trains_on_few_items_of_many_classes(tmp_path: Path, changes: dict[str, Any]) -> None:
    task = task_of(18, channels=3, classes=7)
    examples = examples_of(task, 14)
    generator: Any = MODEL.fit(examples, task, Config(**{**SHORT, "batch": 8, **changes}), run_in(tmp_path))
    assert drawn(generator, conditions_of(examples, slice(0, 5))).shape == (5, 18, 18, 3)
