"""Musicians: still pictures of few performers, overlapping windows of few takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from xmbench import content, registry
from xmbench.baselines._classify import ClassifierConfig, answers, trained_classifier
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.interfaces import AudioFormat, Examples, ImageFormat, Run, Task
from xmbench.networks.images import coloured, standardise
from xmbench.training import Tensors

TASK = Task(("a", "b"), (), ImageFormat(32, 32, 3), AudioFormat(44100, 2205, 0.0, 1.0))
MUSIC = ("inis", "sub-urmp", "urmp-mini", "urmp-windows")
CLASSIFIERS = (
    "class-log-mel",
    "class-mean",
    "class-mean-spectrum",
    "class-medoid",
    "nearest-class-clip",
    "nearest-feature-clip",
)


def performers(coats: list[tuple[int, int, int]], windows: int = 16) -> Examples:
    """A performer for each coat, in turn with instrument a, held to the left, and b, to the right; a take each."""
    random = np.random.default_rng(0)
    count = windows * len(coats)
    images = random.integers(0, 12, (count, 32, 32, 3)).astype(np.uint8) + np.uint8(90)
    labels = np.arange(count) // windows % 2
    for i, label in enumerate(labels):
        images[i, 10:30, 10:22] = coats[i // windows]
        images[i, 14:18, slice(4, 10) if label == 0 else slice(22, 28)] = (200, 180, 60)
    clips = random.normal(0, 3000, (count, 2205)).astype(np.int16)
    ids = tuple(f"{i // windows:02d}-{i % windows:07d}" for i in range(count))
    return Examples(ids, labels, images, clips, np.arange(count), tuple(item[:2] for item in ids))


RED, GREEN, BLUE, GREY = (160, 30, 30), (30, 140, 30), (30, 30, 160), (70, 70, 70)


def accuracy(folder: Path, train: Examples, test: Examples, config: ClassifierConfig) -> float:
    run = Run(folder, 0, "cpu", False, lambda _line: None)
    network = trained_classifier(train, TASK, config, run)
    return float((answers(network, test.images, "cpu").argmax(axis=1) == test.labels).mean())


def test_an_instrument_is_recognised_in_the_hands_of_who_played_another_one(tmp_path: Path) -> None:
    train, test = performers([RED, GREEN, BLUE, GREY]), performers([GREEN, RED, GREY, BLUE])
    short = {"width": 4, "min_steps": 80, "batch": 16, "learning_rate": 1e-2}
    row = load_toml(content.find("baselines", "nearest-class-clip"), Baseline)
    settings = {**row.recipes["sub-urmp"].config, **short}
    assert accuracy(tmp_path / "with", train, test, ClassifierConfig(**settings)) > 0.9
    assert accuracy(tmp_path / "without", train, test, ClassifierConfig(**short)) < 0.6


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_all_rows_that_classify_have_one_classifier_on_every_music_set(name: str) -> None:
    rows = [load_toml(content.find("baselines", row), Baseline) for row in ("nearest-class-clip", name)]
    shared = ClassifierConfig.model_fields.keys()
    for recipe in MUSIC:
        first, second = (row.configured(None, {}, recipe) for row in rows)
        assert {key: first[key] for key in shared} == {key: second[key] for key in shared}
        registry.model(rows[1].model).Config(**second)


def test_colours_change_channels_and_stay_in_range() -> None:
    pixels = torch.randint(0, 256, (20, 6, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    found = coloured(pixels, 0.5)
    assert found.shape == pixels.shape
    assert found.min() >= 0
    assert found.max() <= 255
    assert (found != pixels).flatten(1).any(dim=1).all()
    torch.testing.assert_close(coloured(pixels, 0.0), pixels)
    grey = torch.randint(90, 150, (20, 6, 6, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(standardise(coloured(grey, 0.2)), standardise(grey))  # a network sees no difference


@pytest.mark.parametrize("seed", range(5))
def test_windows_of_a_take_are_all_trained_on_or_all_held_out(tmp_path: Path, seed: int) -> None:
    examples = performers([RED, GREEN, BLUE, GREY, RED, GREEN], windows=20)
    data = Tensors(examples, Run(tmp_path, seed, "cpu", False, lambda _line: None))
    takes = [{examples.groups[i] for i in rows.tolist()} for rows in (data.rows, data.held_out)]
    assert takes[0].isdisjoint(takes[1])
    assert sorted(len(part) for part in takes) == [2, 4]  # a take of each instrument is held out
    one = performers([RED, GREEN], windows=20)
    data = Tensors(one, Run(tmp_path, seed, "cpu", False, lambda _line: None))
    assert (len(data.rows), len(data.held_out)) == (40, 0)  # no instrument loses its last take
