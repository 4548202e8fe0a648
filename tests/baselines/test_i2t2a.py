"""I2T2A: its classifiers and their settings, its voice and level, and words that are right or at the floor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xmbench import content, registry
from xmbench.baselines import i2t2a
from xmbench.baselines.i2t2a import Config, cropped_and_mirrored, fitted, level, make_network
from xmbench.engines import _espeak
from xmbench.errors import PrerequisiteError
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml
from xmbench.interfaces import AudioFormat, Conditions, Examples, ImageFormat, Run, SpokenWords, Task, Voice
from xmbench.runner.describe import submission_of
from xmbench.runner.examples import open_examples
from xmbench.runner.outputs import BATCH, shuffled
from xmbench.runner.settings import RunRecord
from xmbench.runner.speech import RecipeSpeech

NAMES = tuple(str(k) for k in range(10))
DIGITS = Task(NAMES, NAMES, ImageFormat(28, 28, 1), AudioFormat(22050, 18140, 0.0, 1.0))
COLOUR = Task(NAMES, NAMES, ImageFormat(32, 32, 3), AudioFormat(22050, 24020, 0.0, 1.1))
SMALL: dict[str, Any] = {
    "classifier": "resnet-18",
    "resnet_widths": [4, 8, 8, 16],
    "resnet_epochs": 1,
    "resnet_min_steps": 60,
    "resnet_batch": 32,
}


def baseline_of(name: str) -> Baseline:
    return load_toml(content.find("baselines", name), Baseline)


def config_of(name: str, *presets: str, **changes: Any) -> Config:
    baseline = baseline_of(name)
    chosen = dict(baseline.config)
    for preset in presets:
        chosen |= baseline.presets[preset].config
    return Config(**{**chosen, **changes})


def run_of(folder: Path, dataset: Dataset | None) -> Run:
    speech = None if dataset is None else RecipeSpeech(dataset.recipe)
    return Run(folder, 0, "cpu", False, lambda _line: None, speech=speech)


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# ------------------------------------------------------------------------------------------------ classifiers
def test_resnet_18_has_the_parameters_of_its_paper_with_a_small_stem() -> None:
    with torch.device("meta"):
        network = make_network(COLOUR, config_of("i2t2a", "strong"))
        assert network(torch.empty(2, 3, 32, 32)).shape == (2, 10)
    assert parameters(network) == 11_173_962  # as published for CIFAR-10
    assert len([layer for layer in network.modules() if isinstance(layer, torch.nn.Conv2d)]) == 17 + 3


def test_the_classifier_is_mt_nets_up_to_its_head() -> None:
    with torch.device("meta"):
        network = make_network(COLOUR, config_of("i2t2a"))
        assert network(torch.empty(2, 3, 32, 32)).shape == (2, 10)
    assert parameters(network) / 1e6 == pytest.approx(25.8 + 2.1, abs=0.1)  # the trunk, FC1 and FC2
    lite = parameters(make_network(DIGITS, config_of("i2t2a", "lite")))
    assert lite == parameters(make_network(DIGITS, config_of("i2t2a-same-voice")))


@pytest.mark.parametrize("preset", [None, "lite"])
def test_the_classifier_has_mt_nets_settings_and_budget(preset: str | None) -> None:
    mtnet, own = baseline_of("mtnet").configured(preset, {}), baseline_of("i2t2a").configured(preset, {})
    for key in ("widths", "strides", "dilation", "optimiser", "momentum", "schedule"):
        assert own[key] == mtnet[key], key
    pairs = [("learning_rate", "joint_lr"), ("epochs", "joint_epochs"), ("min_steps", "joint_min_steps")]
    for name, theirs in [*pairs, ("batch", "joint_batch"), ("warmup", "joint_warmup")]:
        assert own[name] == mtnet[theirs], name
    assert own["l2"] == pytest.approx(mtnet["eta_l2"] * mtnet["l2"])


def test_the_row_in_the_references_voice_has_the_lite_classifier() -> None:
    lite, same = config_of("i2t2a", "lite"), config_of("i2t2a-same-voice")
    own = ("widths", "strides", "dilation", "learning_rate", "epochs", "min_steps", "batch", "l2", "channels_last")
    assert [getattr(lite, key) for key in own] == [getattr(same, key) for key in own]
    assert (lite.voice, same.voice) == ("en+anika", "")


@pytest.mark.parametrize("widths", [(64, 128, 256, 512), (8, 16, 32, 64)])
def test_every_pixel_has_a_gradient_in_resnet_18(widths: tuple[int, int, int, int]) -> None:
    torch.manual_seed(0)
    network = i2t2a.ResNetClassifier(1, 10, widths).eval()
    images = torch.randn(1, 1, 28, 28, requires_grad=True)
    network(images).square().sum().backward()
    assert images.grad is not None
    assert bool((images.grad != 0).all())


def test_a_crop_is_a_part_of_the_padded_image_mirrored_or_not() -> None:
    torch.manual_seed(0)
    images = torch.randint(1, 256, (64, 8, 6, 3), dtype=torch.uint8)
    cropped = cropped_and_mirrored(images)
    assert (cropped.shape, cropped.dtype) == (images.shape, torch.uint8)
    seen = set()
    for image, found in zip(images, cropped, strict=True):
        padded = torch.zeros(16, 14, 3, dtype=torch.uint8)
        padded[4:12, 4:10] = image
        places = [
            (top, left, mirrored)
            for top in range(9)
            for left in range(9)
            for mirrored in (False, True)
            if torch.equal(found.flip(1) if mirrored else found, padded[top : top + 8, left : left + 6])
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) > 40
    torch.manual_seed(0)
    assert torch.equal(torch.randint(1, 256, (64, 8, 6, 3), dtype=torch.uint8), images)
    assert torch.equal(cropped_and_mirrored(images), cropped)


@pytest.mark.parametrize(("recipe", "epochs", "augment"), [("mnist-ad", 10, False), ("cifar100-ad-voices", 100, True)])
def test_photographs_are_cropped_and_mirrored_and_take_longer(recipe: str, epochs: int, augment: bool) -> None:
    strong = Config(**baseline_of("i2t2a").configured("strong", {}, recipe))
    assert (strong.classifier, strong.resnet_epochs, strong.augment) == ("resnet-18", epochs, augment)
    assert strong.epochs == baseline_of("mtnet").configured(None, {}, recipe)["joint_epochs"]


def test_presets_go_together() -> None:
    both = Config(**baseline_of("i2t2a").configured("lite,strong", {}, "cifar10-ad"))
    assert (both.classifier, both.resnet_widths, both.resnet_epochs) == ("resnet-18", (8, 16, 32, 64), 3)


@pytest.mark.parametrize("augment", [False, True])
def test_only_training_images_are_cropped_and_mirrored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augment: bool
) -> None:
    sizes: list[int] = []

    def counted(images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        return cropped_and_mirrored(images)

    monkeypatch.setattr(i2t2a, "cropped_and_mirrored", counted)
    task = Task(NAMES[:2], NAMES[:2], ImageFormat(8, 8, 3), AudioFormat(8000, 400, 0.0, 1.0))
    ids = tuple(f"item-{i:02d}" for i in range(40))
    labels, images = np.arange(40) % 2, np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    examples = Examples(ids, labels, images, np.full((2, 400), 1000, dtype=np.int16), labels, ids)
    config = Config(**{**SMALL, "resnet_min_steps": 3, "augment": augment})
    run = Run(tmp_path, 0, "cpu", False, lambda _line: None, speech=Spoken())
    i2t2a.MODEL.fit(examples, task, config, run)
    assert sizes == ([32, 32, 32] if augment else [])  # three steps, and no validation


class Spoken:
    """Two words of one sample value."""

    def speak(self, voice: Voice | None = None) -> SpokenWords:
        return SpokenWords((np.full(300, 500, dtype=np.int16), np.full(500, 1500, dtype=np.int16)), "two words")


# --------------------------------------------------------------------------------------------- voice and level
def test_in_the_references_voice_the_words_of_single_take_data_are_the_references(digits: Dataset) -> None:
    examples, task = open_examples(digits, lambda _line: None), digits.recipe.task
    words = fitted(RecipeSpeech(digits.recipe).speak(), examples, task)
    references = examples.clips[examples.clip_index] / np.float32(32768)
    np.testing.assert_array_equal(words[examples.labels], references)


def test_another_voice_has_the_median_level_of_the_training_clips(digits: Dataset) -> None:
    examples, task = open_examples(digits, lambda _line: None), digits.recipe.task
    spoken = RecipeSpeech(digits.recipe).speak(Voice("espeak-ng", "en+anika", 175, 50))
    words = fitted(spoken, examples, task)
    assert (words.shape, words.dtype) == ((10, 18140), np.float32)
    assert np.abs(words).max() <= 1.0
    levels = [level(np.rint(word * 32768).astype(np.int16)) for word in words]
    assert np.median(levels) == pytest.approx(np.median([level(clip) for clip in examples.clips]), rel=1e-3)
    gains = [
        word[: len(clip)] @ clip / (clip.astype(float) @ clip) for word, clip in zip(words, spoken.clips, strict=True)
    ]
    np.testing.assert_allclose(gains, gains[0], rtol=1e-5)  # one gain for all


def test_a_gain_never_clips_and_long_words_are_cut() -> None:
    loud, quiet = np.full((1, 400), 32767, dtype=np.int16), np.zeros(900, dtype=np.int16)
    quiet[::9] = 8000  # its peaks are far above its level
    task = Task(("a",), ("a",), ImageFormat(8, 8, 1), AudioFormat(8000, 400, 0.0, 1.0))
    index = np.zeros(1, dtype=np.int64)
    examples = Examples(("x",), index, np.zeros((1, 8, 8, 1), dtype=np.uint8), loud, index, ("x",))
    words = fitted(SpokenWords((quiet,), "quiet"), examples, task)
    assert words.shape == (1, 400)
    assert np.abs(words).max() == pytest.approx(1.0)


def test_a_level_knows_nothing_of_padding() -> None:
    assert level(np.zeros(10, dtype=np.int16)) == 0.0
    clip = np.array([0, 0, 16384, -16384, 0, 16384, 0, 0, 0], dtype=np.int16)
    assert level(clip) == pytest.approx(np.sqrt(3 / 16))


def test_a_missing_engine_is_told_before_the_training(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    _espeak._catalogue.cache_clear()
    examples = open_examples(digits, lambda _line: None)
    with pytest.raises(PrerequisiteError, match="speech engine is not installed"):
        i2t2a.MODEL.fit(examples, digits.recipe.task, config_of("i2t2a", "lite"), run_of(tmp_path, digits))
    assert not (tmp_path / "checkpoints").exists()
    with pytest.raises(PrerequisiteError, match="no speech engine"):
        i2t2a.MODEL.fit(examples, digits.recipe.task, config_of("i2t2a", "lite"), run_of(tmp_path, None))


@pytest.mark.parametrize(
    ("name", "stated"), [("i2t2a", "open"), ("i2t2a-same-voice", "open"), ("nearest-class-clip", "closed")]
)
def test_what_an_engine_says_is_more_than_the_training_split(digits: Dataset, name: str, stated: str) -> None:
    record = RunRecord(baseline=name, preset=None, settings={"seed": 0}, command="", hardware="", versions={})
    made = submission_of(baseline_of(name), digits, record, {}, False, "i2a")
    assert made.training_data == stated


# -------------------------------------------------------------------------------------------------- the words
def test_words_are_right_and_shuffled_conditions_bring_them_to_the_floor(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    images = random.integers(0, 60, (200, 8, 8, 1)).astype(np.uint8)
    images[labels == 1, :4] += 150
    ids = tuple(f"item-{i:03d}" for i in range(200))
    task = Task(NAMES[:2], NAMES[:2], ImageFormat(8, 8, 1), AudioFormat(8000, 600, 0.0, 1.0))
    examples = Examples(ids, labels, images, np.full((2, 600), 1000, dtype=np.int16), labels, ids)
    run = Run(tmp_path, 0, "cpu", False, lambda _line: None, speech=Spoken())
    generator = registry.model("i2t2a").fit(examples, task, Config(**SMALL), run)
    parts = [
        Conditions(ids[start : start + BATCH], images[start : start + BATCH], labels[start : start + BATCH])
        for start in range(0, 200, BATCH)
    ]

    def words_of(batches: Any) -> NDArray[np.int64]:
        outputs = np.concatenate([generator.generate(batch, "i2a") for batch in batches])
        return np.asarray(
            (outputs != 0).sum(axis=1) // 500, dtype=np.int64
        )  # the first word has 300 samples, the second 500

    assert (words_of(parts) == labels).mean() > 0.95
    assert (words_of(shuffled(iter(parts), 0)) == labels).mean() == pytest.approx(0.5, abs=0.12)
