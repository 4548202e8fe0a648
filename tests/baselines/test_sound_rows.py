"""Rows that show a stored image for a sound: the nearest sound's own, one of the class that is heard, the mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from xmbench import content, registry
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.interfaces import AudioFormat, Conditions, Examples, ImageFormat, Run, Task

TASK = Task(("a", "b", "c"), ("a", "b", "c"), ImageFormat(8, 8, 1), AudioFormat(8000, 4000, 0.0, 1.0))
ROWS: list[tuple[str, str | None]] = [
    ("nearest-sound-image", None),
    ("nearest-sound-image", "features"),
    ("heard-class-image", None),
]


def examples_of(count: int = 90, seed: int = 0, takes: int = 0) -> Examples:
    """Class k is a bright band k and a tone of its own pitch, at many levels; every image is another one."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = random.integers(0, 50, (count, 8, 8, 1)).astype(np.uint8)
    for i, label in enumerate(labels):
        images[i, 2 * label : 2 * label + 2] += 150
    time = np.arange(4000) / 8000
    pitch = np.array([300.0, 900.0, 2100.0])[labels] * random.uniform(0.97, 1.03, count)
    tones = np.sin(2 * np.pi * pitch[:, None] * time) * random.uniform(2000, 20000, (count, 1))
    clips = (tones + random.normal(0, 50, tones.shape)).astype(np.int16)
    index = np.arange(count) % (3 * takes) if takes else np.arange(count)
    ids = tuple(f"item-{seed}-{i:03d}" for i in range(count))
    return Examples(ids, labels, images, clips[: index.max() + 1], index, ids)


def fitted(name: str, preset: str | None, folder: Path, examples: Examples, seed: int = 0, **changes: Any) -> Any:
    baseline = load_toml(content.find("baselines", name), Baseline)
    model = registry.model(baseline.model)
    short = {} if name == "mean-image" else {"classifier_min_steps": 30, "encoder_widths": [8, 8], "embedding": 8}
    config = model.Config(**baseline.configured(preset, {**short, **changes}))
    return model.fit(examples, TASK, config, Run(folder, seed, "cpu", False, lambda _line: None))


def conditions_of(examples: Examples, rows: slice = slice(None)) -> Conditions:
    return Conditions(examples.ids[rows], examples.clips[examples.clip_index[rows]])


def rows_of(outputs: NDArray[np.uint8], examples: Examples) -> NDArray[np.int64]:
    """Which stored image each output is."""
    flat, known = outputs.reshape(len(outputs), -1), examples.images.reshape(len(examples.ids), -1)
    return np.array([int(np.flatnonzero((known == row).all(axis=1))[0]) for row in flat])


@pytest.mark.parametrize(("name", "preset"), ROWS)
def test_a_stored_image_of_the_class_is_shown_whatever_the_batch(tmp_path: Path, name: str, preset: str | None) -> None:
    examples, new = examples_of(), examples_of(30, seed=1)
    generator = fitted(name, preset, tmp_path, examples)
    outputs, classes = generator.generate_and_predict(conditions_of(new), "a2i")
    assert (outputs.shape, outputs.dtype) == ((30, 8, 8, 1), np.uint8)
    np.testing.assert_array_equal(examples.labels[rows_of(outputs, examples)], classes)
    assert (classes == new.labels).mean() > 0.9
    np.testing.assert_array_equal(generator.predict(conditions_of(new)), classes)
    np.testing.assert_array_equal(generator.generate(conditions_of(new), "a2i"), outputs)
    backwards = generator.generate(conditions_of(new, slice(None, None, -1)), "a2i")[::-1]
    np.testing.assert_array_equal(backwards, outputs)
    np.testing.assert_array_equal(generator.generate(conditions_of(new, slice(7, 8)), "a2i"), outputs[7:8])


def test_the_nearest_sound_of_a_training_sound_is_itself(tmp_path: Path) -> None:
    examples = examples_of()
    generator = fitted("nearest-sound-image", None, tmp_path, examples)
    np.testing.assert_array_equal(generator.generate(conditions_of(examples), "a2i"), examples.images)


def test_more_neighbours_vote_on_the_class(tmp_path: Path) -> None:
    """A wrong label beside 29 right ones: its own sound alone follows it."""
    examples = examples_of()
    examples.labels[0] = 2
    one = fitted("nearest-sound-image", None, tmp_path, examples)
    nine = fitted("nearest-sound-image", None, tmp_path, examples, neighbours=9)
    asked = conditions_of(examples, slice(0, 1))
    assert (one.predict(asked).tolist(), nine.predict(asked).tolist()) == ([2], [0])


def test_of_items_with_one_sound_any_may_be_shown(tmp_path: Path) -> None:
    examples = examples_of(takes=1)
    generator = fitted("nearest-sound-image", None, tmp_path, examples)
    shown = rows_of(generator.generate(conditions_of(examples), "a2i"), examples)
    np.testing.assert_array_equal(examples.labels[shown], examples.labels)
    assert len(set(shown.tolist())) > 45
    other = fitted("nearest-sound-image", None, tmp_path, examples, seed=1)
    assert (rows_of(other.generate(conditions_of(examples), "a2i"), examples) != shown).any()


def test_the_heard_class_does_not_say_which_image(tmp_path: Path) -> None:
    examples, new = examples_of(), examples_of(30, seed=1)
    first, second = (
        fitted("heard-class-image", None, tmp_path / str(seed), examples, seed, classifier_min_steps=2)
        for seed in (0, 1)
    )
    outputs = [rows_of(generator.generate(conditions_of(new), "a2i"), examples) for generator in (first, second)]
    assert (outputs[0] != outputs[1]).any()
    assert len(set(outputs[0].tolist())) > 15


@pytest.mark.parametrize(("name", "preset"), ROWS)
def test_silence_is_no_error(tmp_path: Path, name: str, preset: str | None) -> None:
    generator = fitted(name, preset, tmp_path, examples_of(12), classifier_min_steps=2)
    assert generator.generate(Conditions(("x",), np.zeros((1, 4000), np.int16)), "a2i").shape == (1, 8, 8, 1)


def test_the_mean_image(tmp_path: Path) -> None:
    examples = examples_of(1100)
    found = fitted("mean-image", None, tmp_path, examples).generate(conditions_of(examples, slice(0, 3)), "a2i")
    assert (found.shape, found.dtype) == ((3, 8, 8, 1), np.uint8)
    np.testing.assert_allclose(found.astype(float) - examples.images.mean(axis=0), 0, atol=0.5)
