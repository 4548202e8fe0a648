"""MT-Net's settings beside the paper's: selection where takes differ, balanced terms, spectra, bf16, dense holes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from tests.baselines.test_mtnet import TINY, examples_of, run_in, task_of
from xmbench.baselines import mtnet
from xmbench.baselines._mtnet_network import Config, MTNet
from xmbench.baselines.mtnet import MODEL
from xmbench.interfaces import Conditions, Examples, Task
from xmbench.networks.compressed import CompressedSpectra
from xmbench.training import Phase, Tensors

SHORT: dict[str, Any] = {**TINY, "autoencoder_min_steps": 2, "joint_min_steps": 2}


def takes_of(task: Task, count: int = 120) -> Examples:
    """As `examples_of`, but every item has a take of its own: its class's tone with another phase."""
    examples = examples_of(task, count)
    classes = len(task.class_names)
    time = np.arange(task.audio.samples) / task.audio.samples
    tones = [
        np.sin(2 * math.pi * 5 * (label + 1) * time + 2 * math.pi * item / classes * 0.37) * np.exp(-2 * time)
        for item, label in enumerate(examples.labels)
    ]
    clips = np.round(np.stack(tones) * 12000).astype(np.int16)
    return replace(examples, clips=clips, clip_index=np.arange(count))


def outputs(generator: Any, examples: Examples) -> NDArray[np.float32]:
    found: NDArray[np.float32] = generator.generate(Conditions(examples.ids, examples.images), "i2a")
    return found


# ------------------------------------------------------------------------------------------------ selection
@pytest.mark.parametrize(
    ("changes", "several", "expected"),
    [
        ({}, False, "generation"),
        ({}, True, "head"),
        ({"use_per": False}, True, "last"),
        ({"use_per": False}, False, "generation"),
        ({"selection": "last"}, False, "last"),
        ({"selection": "generation"}, True, "generation"),
    ],
)
def test_what_selects_depends_on_the_takes_of_a_class(
    tmp_path: Path, changes: dict[str, Any], several: bool, expected: str
) -> None:
    task = task_of(60)
    data = Tensors(takes_of(task) if several else examples_of(task), run_in(tmp_path))
    assert mtnet.selection_of(Config(**{**TINY, **changes}), data) == expected


@pytest.mark.parametrize(("selection", "term"), [("generation", "generation"), ("head", "perception"), ("last", None)])
def test_the_value_that_selects_is_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, selection: str, term: str | None
) -> None:
    phases: list[Phase] = []
    monkeypatch.setattr(mtnet, "train", lambda phase, _run: phases.append(phase))
    task = task_of(60)
    MODEL.fit(takes_of(task), task, Config(**SHORT, selection=selection), run_in(tmp_path))
    validate = phases[1].validate
    assert (validate is None) == (term is None)  # then the loop keeps the last weights
    if validate is not None and term is not None:
        with torch.no_grad():
            values = validate()
        assert values["selection"] == values[term] != values["loss"]


def test_where_takes_differ_trained_weights_are_kept(tmp_path: Path) -> None:
    task = task_of(200)
    examples = takes_of(task)
    generator: Any = MODEL.fit(examples, task, Config(**TINY), run_in(tmp_path))
    unseen = examples_of(task, 32, seed=1)
    classes = generator.predict(Conditions(unseen.ids, unseen.images))
    assert (classes == unseen.labels).mean() > 0.9


# ------------------------------------------------------------------------------------------------- balance
def test_balanced_terms_have_equal_gradients_before_the_first_step(tmp_path: Path) -> None:
    task = task_of(200)
    config = Config(**TINY, balanced=True, eta_gen=2.0)
    data = Tensors(examples_of(task), run_in(tmp_path))
    torch.manual_seed(0)
    net = MTNet(task, config)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items() if name != "term_weights"}
    joint = mtnet._Joint(net, torch.rand(4, config.code), data, config, task.audio.samples)
    joint.balance(run_in(tmp_path))
    for name, tensor in before.items():
        assert torch.equal(tensor, net.state_dict()[name]), name  # the statistics of batch normalisation too
    rows = data.rows[torch.linspace(0, len(data.rows) - 1, 16).long()]
    features = net.train().features(joint.images(rows)).detach().requires_grad_()
    norms = [
        float(torch.autograd.grad(weight * term, features, retain_graph=True)[0].norm())
        for weight, term in zip(net.term_weights, joint.terms(rows, features, net).values(), strict=True)
    ]
    assert norms == pytest.approx([norms[0]] * 3, rel=1e-3)
    assert net.term_weights[0] == 2.0


def test_the_weights_of_balanced_terms_are_recorded_and_those_of_the_paper_are_not(tmp_path: Path) -> None:
    task = task_of(60)
    lines: list[str] = []
    run = replace(run_in(tmp_path / "balanced"), progress=lines.append)
    MODEL.fit(examples_of(task), task, Config(**SHORT, balanced=True), run)
    assert any("norms of the gradients on phi^I: generation" in line for line in lines)
    weights = load_file(tmp_path / "balanced" / "checkpoints" / "joint.safetensors")["term_weights"]
    assert weights[0] == 1.0
    assert (weights[1:] != torch.tensor([0.5, 1.0])).all()
    MODEL.fit(examples_of(task), task, Config(**SHORT), run_in(tmp_path / "paper"))
    assert "term_weights" not in load_file(tmp_path / "paper" / "checkpoints" / "joint.safetensors")


# -------------------------------------------------------------------------------------------------- spectra
def test_compressed_spectra_of_a_cosine_by_hand() -> None:
    spectra = CompressedSpectra(samples=512, window=64, hop=16, power=0.3)
    assert spectra.shape == (33, 33)
    wave = 0.8 * torch.cos(2 * math.pi * 8 / 64 * torch.arange(512.0))[None]
    values = spectra.of(wave).view(33, 33)
    # A Hann window of sum 32 gives half the amplitude of a cosine in its bin, and half of that beside it.
    assert values[8, 10].item() == pytest.approx(0.4**0.3, abs=1e-4)
    assert values[9, 10].item() == pytest.approx(0.2**0.3, abs=1e-4)
    assert spectra.of(torch.ones(1, 512)).max() <= 1.0
    assert spectra.of(torch.zeros(1, 512)).eq(0).all()


def test_compressed_spectra_become_the_waveforms_again() -> None:
    spectra = CompressedSpectra(samples=4000, window=256, hop=64, power=0.3)
    time = torch.arange(4000.0) / 8000
    waves = torch.stack([0.5 * torch.sin(2 * math.pi * f * time) * torch.exp(-3 * time) for f in (300.0, 700.0)])
    values = spectra.of(waves)
    found = spectra.waveforms(values, 0, ["a", "b"], 32)
    assert found.shape == waves.shape
    assert found.dtype == torch.float32
    assert found.abs().max() <= 1.0
    assert (spectra.of(found) - values).norm() < 0.1 * values.norm()
    alone = spectra.waveforms(values[1:], 0, ["b"], 32)
    torch.testing.assert_close(alone[0], found[1], atol=1e-3, rtol=0)  # an item sounds the same in every batch


def test_a_spectral_training_speaks_the_class_where_takes_differ(tmp_path: Path) -> None:
    task = task_of(400)
    examples, unseen = takes_of(task), examples_of(task, 32, seed=1)
    config = Config(**{**TINY, "joint_lr": 3e-3}, output="spectrum", window=256, hop=64)
    generator: Any = MODEL.fit(examples, task, config, run_in(tmp_path))
    waves = outputs(generator, unseen)
    assert waves.shape == (32, 400)
    assert waves.dtype == np.float32
    assert np.abs(waves).max() <= 1.0
    np.testing.assert_array_equal(waves, outputs(generator, unseen))  # phases are drawn by the item
    spectra = config.spectra(400)
    assert spectra is not None
    stored = spectra.of(torch.from_numpy(examples_of(task).clips / 32768.0).float())
    found = spectra.of(torch.from_numpy(waves))
    nearest = torch.cdist(found, stored).argmin(dim=1).numpy()
    assert (nearest == unseen.labels).mean() > 0.9


# ----------------------------------------------------------------------------------------- precision, one pass
@pytest.mark.parametrize("output", ["waveform", "spectrum"])
def test_bf16_on_a_processor_trains_and_gives_finite_float32(tmp_path: Path, output: str) -> None:
    task = task_of(200)
    examples = examples_of(task)
    changes: dict[str, Any] = {"precision": "bf16", "output": output, "window": 64, "hop": 16}
    generator: Any = MODEL.fit(examples, task, Config(**{**TINY, **changes}), run_in(tmp_path))
    waves = outputs(generator, examples)
    assert waves.dtype == np.float32
    assert np.isfinite(waves).all()
    classes = generator.predict(Conditions(examples.ids, examples.images))
    assert (classes == examples.labels).mean() > 0.9
    weights = load_file(tmp_path / "checkpoints" / "joint.safetensors")
    assert {tensor.dtype for name, tensor in weights.items() if "num_batches" not in name} == {torch.float32}


def test_one_pass_gives_what_two_give(tmp_path: Path) -> None:
    task = task_of(60)
    examples = examples_of(task, 32)
    generator: Any = MODEL.fit(examples, task, Config(**SHORT), run_in(tmp_path))
    conditions = Conditions(examples.ids, examples.images)
    waves, classes = generator.generate_and_predict(conditions, "i2a")
    np.testing.assert_array_equal(waves, generator.generate(conditions, "i2a"))
    np.testing.assert_array_equal(classes, generator.predict(conditions))


# ------------------------------------------------------------------------------------- eight pairs, same weights
def test_eight_pairs_are_learned_by_heart(tmp_path: Path) -> None:
    task = task_of(200, size=16, classes=8)
    examples = examples_of(task, 8)
    config = Config(**{**TINY, "joint_min_steps": 400, "joint_batch": 8})
    generator = MODEL.fit(examples, task, config, run_in(tmp_path))
    references = examples.clips / 32768.0
    error = np.square(outputs(generator, examples) - references).sum() / np.square(references).sum()
    assert error < 0.05


class _KilledError(Exception):
    """The training is killed."""


def test_a_training_gives_the_same_weights_again_and_when_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(60)
    examples = examples_of(task, 40)
    config = Config(**{**TINY, "autoencoder_min_steps": 4, "joint_min_steps": 6}, balanced=True)
    for name in ("first", "second"):
        MODEL.fit(examples, task, config, run_in(tmp_path / name))
    complete = load_file(tmp_path / "first" / "checkpoints" / "joint.safetensors")

    def killed(_joint: Any, _run: Any) -> None:
        raise _KilledError

    with monkeypatch.context() as patched:
        patched.setattr(mtnet, "_train_joint", killed)
        with pytest.raises(_KilledError):
            MODEL.fit(examples, task, config, run_in(tmp_path / "third"))
    MODEL.fit(examples, task, config, run_in(tmp_path / "third", resume=True))
    for name in ("second", "third"):
        again = load_file(tmp_path / name / "checkpoints" / "joint.safetensors")
        assert again.keys() == complete.keys()
        assert all(torch.equal(again[key], complete[key]) for key in complete), name
