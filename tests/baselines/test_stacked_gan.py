"""The rows `stacked-gan`, `nearest-multimodal` and `seen-image-gan`: tiny trainings, resuming, divisions."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.conftest import ROOT
from xmbench.baselines import nearest_multimodal, seen_image_gan, stacked_gan
from xmbench.baselines._features import Sounds
from xmbench.baselines._joint_space import JointSpace
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.interfaces import AudioFormat, Conditions, Examples, Generator, ImageFormat, Run, StatesTrainingData, Task
from xmbench.networks import soundnet
from xmbench.networks.vgg import Vgg16
from xmbench.training import Tensors

MODELS: dict[str, Any] = {
    "stacked-gan": stacked_gan,
    "nearest-multimodal": nearest_multimodal,
    "seen-image-gan": seen_image_gan,
}
ROWS = {name: load_toml(ROOT / "baselines" / f"{name}.toml", Baseline) for name in MODELS}
TASK = Task(("low", "high"), ("low", "high"), ImageFormat(12, 12, 1), AudioFormat(8000, 2400, 0.0, 1.0))
TINY: dict[str, Any] = {
    "feature_side": 4,
    "image_size": 32,
    "image_width": 2,
    "sound_width": 2,
    "sound_seconds": 0.5,
    "feature_lr": 3e-3,
    "feature_epochs": 1,
    "feature_min_steps": 25,
    "feature_batch": 16,
    "joint_lr": 1e-2,
    "joint_epochs": 1,
    "joint_min_steps": 40,
    "joint_batch": 16,
}
GAN: dict[str, Any] = {
    **TINY,
    "feature_side": 16,
    "generator_width": 2,
    "discriminator_width": 2,
    "epochs": 1,
    "min_steps": 4,
    "batch": 8,
}


def examples_of(count: int = 40, seed: int = 0) -> Examples:
    """Dark images of a low tone and bright ones of a high tone; every item has a take of its own."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = random.integers(0, 60, (count, 12, 12, 1)).astype(np.uint8)
    images[labels == 1] += 180
    time = np.arange(2400) / 8000
    pitches = np.where(labels == 0, 250, 1500) * random.uniform(0.95, 1.05, count)
    tones = np.sin(2 * math.pi * pitches[:, None] * time) * np.exp(-6 * time)
    ids = tuple(f"item-{i:03d}" for i in range(count))
    return Examples(ids, labels, images, np.round(tones * 12000).astype(np.int16), np.arange(count), ids)


def run_in(folder: Path, **changes: Any) -> Run:
    return dataclasses.replace(Run(folder, 0, "cpu", False, lambda _line: None), **changes)


def outputs(generator: Generator, examples: Examples, batch: int = 16, **more: Any) -> NDArray[np.uint8]:
    clips = examples.clips[examples.clip_index]
    spans = [slice(i, i + batch) for i in range(0, len(examples.ids), batch)]
    made = [
        Conditions(examples.ids[part], clips[part], **{name: values[part] for name, values in more.items()})
        for part in spans
    ]
    return np.concatenate([generator.generate(part, "a2i") for part in made])


def brightness(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(images.mean(axis=(1, 2, 3)), dtype=np.float64)


@pytest.mark.parametrize("name", ROWS)
def test_the_settings_of_the_row_are_the_defaults_of_the_code(name: str) -> None:
    config = MODELS[name].Config
    assert config(**ROWS[name].config) == config()
    assert set(ROWS[name].config) == set(config.model_fields)


def test_rows_with_published_weights_state_open_training_data() -> None:
    for name, row in ROWS.items():
        for preset, stated in ((None, "closed"), ("lite", "closed"), ("published", "open")):
            config = MODELS[name].Config(**row.configured(preset, {}))
            assert isinstance(config, StatesTrainingData)
            assert config.training_data == stated
        with pytest.raises(ValueError, match="image_weights"):
            MODELS[name].Config(image_weights="vgg16.pth")  # a digest, not a path


def test_planes_that_the_discriminator_cannot_halve_are_refused() -> None:
    for side in (8, 24, 128):
        with pytest.raises(ValueError, match="feature_side"):
            stacked_gan.Config(feature_side=side)
    assert nearest_multimodal.Config(feature_side=8).features == 64  # no planes, any side


def test_sounds_are_repeated_or_cut_to_one_length_and_scaled_once() -> None:
    examples = examples_of(4)
    for seconds in (0.25, 0.5, 5.0):
        sounds = Sounds(TASK, stacked_gan.Config(sound_seconds=max(seconds, 0.5)))
        waves = torch.from_numpy(sounds.resampled(examples.clips))
        given = sounds.repeated(waves)
        assert given.shape == (4, round(max(seconds, 0.5) * 22_050))
        assert 1.0 < float(given.abs().max()) <= 256.0
        torch.testing.assert_close(given[:, : waves.shape[1]], 256 * waves)
    with pytest.raises(ValueError, match="scaled before"):
        sounds.repeated(given)
    times = given[:, waves.shape[1] : 2 * waves.shape[1]]
    torch.testing.assert_close(times, given[:, : waves.shape[1]])  # the whole sound again


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> JointSpace:
    torch.set_num_threads(1)
    examples, run = examples_of(), run_in(tmp_path_factory.mktemp("space"))
    return JointSpace(examples, Tensors(examples, run), TASK, nearest_multimodal.Config(**TINY), run)


def test_a_joint_space_of_two_classes_is_learnt(space: JointSpace) -> None:
    examples = examples_of(24, seed=1)
    heard = space.of_sounds(space.features.of_clips(examples.clips))
    assert space.features.sound_size == 32 * soundnet.steps(11_025, 5)
    assert (space.classes(heard) == examples.labels).mean() > 0.9
    seen = space.of_images(space.features.of_images(torch.from_numpy(examples.images)))
    apart = torch.cdist(heard.relu(), seen.relu())
    assert (examples.labels[apart.argmin(dim=1)] == examples.labels).mean() > 0.9
    # fc6 and h_pre are values before the activation.
    assert float(space.images.min()) < 0 < float(space.images.max())


def test_the_nearest_image_has_the_class_of_the_sound(tmp_path: Path) -> None:
    examples, unseen = examples_of(), examples_of(12, seed=1)
    for compare in ("after", "before"):
        config = nearest_multimodal.Config(**TINY, compare=compare)
        generator: Any = nearest_multimodal.MODEL.fit(examples, TASK, config, run_in(tmp_path / compare))
        found = outputs(generator, unseen)
        assert ((brightness(found) > 128) == (unseen.labels == 1)).all()
        assert all((image == examples.images).all(axis=(1, 2, 3)).any() for image in found)  # training images
        both = generator.generate_and_predict(Conditions(unseen.ids, unseen.clips), "a2i")
        np.testing.assert_array_equal(both[0], found)
        np.testing.assert_array_equal(both[1], generator.predict(Conditions(unseen.ids, unseen.clips)))


@pytest.mark.parametrize("form", ["paper", "modern"])
def test_an_image_depends_on_its_own_sound_and_a_stop_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    examples, unseen = examples_of(), examples_of(12, seed=1)
    config = stacked_gan.Config(**GAN, form=form)
    found = outputs(stacked_gan.MODEL.fit(examples, TASK, config, run_in(tmp_path / "whole")), unseen)
    assert found.shape == (12, 12, 12, 1)
    assert found.dtype == np.uint8
    last = "modern-gan" if form == "modern" else "feature-gan"

    def interrupt(line: str) -> None:
        if line.startswith(f"{last}: step 2"):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("xmbench.training.loop.REPORT_EVERY_S", 0.0)
    with pytest.raises(KeyboardInterrupt):
        stacked_gan.MODEL.fit(examples, TASK, config, run_in(tmp_path / "broken", progress=interrupt))
    again: Any = stacked_gan.MODEL.fit(examples, TASK, config, run_in(tmp_path / "broken", resume=True))
    np.testing.assert_array_equal(found, outputs(again, unseen))
    small = outputs(again, unseen, batch=5)
    np.testing.assert_allclose(found.astype(float), small.astype(float), atol=1)
    assert (again.predict(Conditions(unseen.ids, unseen.clips)) == unseen.labels).mean() > 0.8


@pytest.mark.parametrize("form", ["paper", "modern"])
def test_small_networks_learn_to_paint_two_classes(tmp_path: Path, form: str) -> None:
    examples = examples_of()
    longer = {**GAN, "generator_width": 4, "lr": 2e-3, "min_steps": 60}
    config = stacked_gan.Config(**longer, form=form)
    found = brightness(outputs(stacked_gan.MODEL.fit(examples, TASK, config, run_in(tmp_path)), examples))
    assert found[examples.labels == 1].mean() > found[examples.labels == 0].mean() + 60


def test_the_upper_bound_paints_references_and_trains_no_network_for_sounds(tmp_path: Path) -> None:
    examples = examples_of()
    config = seen_image_gan.Config(**{**GAN, "generator_width": 4, "lr": 2e-3, "min_steps": 60})
    generator = seen_image_gan.MODEL.fit(examples, TASK, config, run_in(tmp_path))
    found = outputs(generator, examples, references=examples.images[::-1].copy())
    assert brightness(found)[examples.labels[::-1] == 1].min() > brightness(found)[examples.labels[::-1] == 0].max()
    phases = {path.stem for path in (tmp_path / "checkpoints").glob("*.safetensors")}
    assert phases == {"image-features", "image-gan"}


def test_both_rows_have_the_same_second_network(tmp_path: Path) -> None:
    examples, config = examples_of(24), {**GAN, "min_steps": 2}
    stacked_gan.MODEL.fit(examples, TASK, stacked_gan.Config(**config), run_in(tmp_path / "row"))
    seen_image_gan.MODEL.fit(examples, TASK, seen_image_gan.Config(**config), run_in(tmp_path / "bound"))
    name = Path("checkpoints") / "image-gan.safetensors"
    assert (tmp_path / "row" / name).read_bytes() == (tmp_path / "bound" / name).read_bytes()


def test_a_row_on_published_weights_trains_no_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path))
    torch.manual_seed(0)
    torch.save(Vgg16(2, 32, 256).state_dict(), tmp_path / "w.pth")
    content = (tmp_path / "w.pth").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    folder = tmp_path / "weights" / digest
    folder.mkdir(parents=True)
    (folder / "w.pth").write_bytes(content)
    config = stacked_gan.Config(**{**GAN, "min_steps": 2}, image_weights=digest)
    examples = examples_of(24)
    generator = stacked_gan.MODEL.fit(examples, TASK, config, run_in(tmp_path / "run"))
    assert outputs(generator, examples).shape == (24, 12, 12, 1)
    phases = {path.stem for path in (tmp_path / "run" / "checkpoints").glob("*.safetensors")}
    assert phases == {"sound-features", "joint-space", "image-gan", "feature-gan"}
