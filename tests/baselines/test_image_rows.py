"""Reference rows of the other direction, and those that serve both: what each shows, and what it may see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from xmbench import content, registry
from xmbench.errors import DatasetError
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.interfaces import (
    AudioFormat,
    Classifier,
    Conditions,
    Direction,
    Examples,
    ImageFormat,
    Run,
    SeesReferences,
    Task,
)

TASK = Task(("a", "b", "c"), ("a", "b", "c"), ImageFormat(8, 8, 1), AudioFormat(8000, 2400, 0.0, 1.0))
COUNT = 60
ROWS = [
    "random-image",
    "majority-class",
    "class-mean-image",
    "nearest-class-image",
    "wrong-class",
    "oracle-class",
    "identity",
]


@pytest.fixture(scope="module")
def examples() -> Examples:
    """Class k is a bright band k, and a tone of its own pitch at many levels."""
    random = np.random.default_rng(0)
    labels = np.array([(0, 0, 0, 0, 1, 2)[i % 6] for i in range(COUNT)], dtype=np.int64)
    images = random.integers(0, 50, (COUNT, 8, 8, 1)).astype(np.uint8)
    for i, label in enumerate(labels):
        images[i, 2 * label : 2 * label + 2] += 150
    time = np.arange(2400) / 8000
    pitch = np.array([300.0, 900.0, 2100.0])[labels]
    tones = np.sin(2 * np.pi * pitch[:, None] * time) * random.uniform(1000, 20000, (COUNT, 1))
    clips = (tones + random.normal(0, 50, tones.shape)).astype(np.int16)
    ids = tuple(f"item-{i:03d}" for i in range(COUNT))
    return Examples(ids, labels, images, clips, np.arange(COUNT), ids)


def fitted(name: str, folder: Path, examples: Examples, direction: Direction = "a2i", seed: int = 0) -> Any:
    model = registry.model(name)
    assert direction in model.directions
    return model.fit(
        examples, TASK, model.Config(), Run(folder, seed, "cpu", False, lambda _line: None, directions=(direction,))
    )


def conditions(examples: Examples, rows: list[int], direction: Direction = "a2i") -> Conditions:
    i2a = direction == "i2a"
    inputs, references = (examples.images, examples.clips) if i2a else (examples.clips, examples.images)
    return Conditions(tuple(examples.ids[i] for i in rows), inputs[rows], examples.labels[rows], references[rows])


def shown(generator: Any, examples: Examples, direction: Direction = "a2i") -> NDArray[Any]:
    return np.asarray(generator.generate(conditions(examples, list(range(COUNT)), direction), direction))


@pytest.mark.parametrize("name", ROWS)
def test_outputs_are_images_and_do_not_depend_on_batches_or_order(
    tmp_path: Path, examples: Examples, name: str
) -> None:
    generator = fitted(name, tmp_path, examples)
    first = shown(generator, examples)
    assert (first.shape, first.dtype) == ((COUNT, 8, 8, 1), np.uint8)
    backwards = generator.generate(conditions(examples, list(range(COUNT))[::-1]), "a2i")[::-1]
    np.testing.assert_array_equal(first, backwards)
    np.testing.assert_array_equal(first[7:8], generator.generate(conditions(examples, [7]), "a2i"))


@pytest.mark.parametrize("name", ["random-image", "wrong-class", "oracle-class", "nearest-class-image"])
def test_chance_follows_the_seed(tmp_path: Path, examples: Examples, name: str) -> None:
    first, second = (shown(fitted(name, tmp_path, examples, seed=seed), examples) for seed in (0, 1))
    assert (first != second).any()


def classes_of(outputs: NDArray[Any], stored: NDArray[Any], labels: NDArray[np.int64]) -> list[int]:
    """The class of the stored item that each output is."""
    flat, known = outputs.reshape(len(outputs), -1), stored.reshape(len(stored), -1)
    return [int(labels[np.flatnonzero((known == row).all(axis=1))[0]]) for row in flat]


@pytest.mark.parametrize("direction", ["i2a", "a2i"])
def test_oracle_and_wrong_class_show_stored_items_of_the_true_and_of_other_classes(
    tmp_path: Path, examples: Examples, direction: Direction
) -> None:
    stored = examples.as_outputs(list(range(COUNT)), direction)
    right = shown(fitted("oracle-class", tmp_path, examples, direction), examples, direction)
    wrong = shown(fitted("wrong-class", tmp_path, examples, direction), examples, direction)
    assert classes_of(right, stored, examples.labels) == examples.labels.tolist()
    found = np.array(classes_of(wrong, stored, examples.labels))
    assert (found != examples.labels).all()
    assert set(found) == {0, 1, 2}


@pytest.mark.parametrize("direction", ["i2a", "a2i"])
def test_identity_is_the_reference(tmp_path: Path, examples: Examples, direction: Direction) -> None:
    model = registry.model("identity")
    assert isinstance(model, SeesReferences)
    found = shown(fitted("identity", tmp_path, examples, direction), examples, direction)
    np.testing.assert_array_equal(found, examples.as_outputs(list(range(COUNT)), direction))


def test_class_means(tmp_path: Path, examples: Examples) -> None:
    found = shown(fitted("class-mean-image", tmp_path, examples), examples)
    for k in range(3):
        own = examples.labels == k
        np.testing.assert_allclose(found[own].astype(float) - examples.images[own].mean(axis=0), 0, atol=0.5)


def test_random_images_are_training_images_as_frequent_as_they_are(tmp_path: Path, examples: Examples) -> None:
    found = classes_of(shown(fitted("random-image", tmp_path, examples), examples), examples.images, examples.labels)
    assert found.count(0) > 30  # class a has two thirds of the items


def test_the_most_similar_sounds_decide_the_class(tmp_path: Path, examples: Examples) -> None:
    generator = fitted("nearest-class-image", tmp_path, examples)
    assert isinstance(generator, Classifier)
    asked = conditions(examples, list(range(COUNT)))
    quieter = Conditions(asked.ids, np.roll(asked.inputs // 2, 100, axis=1))
    heard = generator.predict(quieter)
    assert heard is not None
    np.testing.assert_array_equal(heard, examples.labels)
    assert generator.predict(Conditions(("x",), np.zeros((1, 2400), np.int16))) is not None  # silence is no error
    assert generator.predict(Conditions(("x",), np.ones((1, 2400), np.int16))) is not None


def test_a_single_class(tmp_path: Path, examples: Examples) -> None:
    one = Examples(
        examples.ids,
        np.zeros(COUNT, dtype=np.int64),
        examples.images,
        examples.clips,
        examples.clip_index,
        examples.groups,
    )
    with pytest.raises(DatasetError, match="no wrong class"):
        fitted("wrong-class", tmp_path, one)
    with pytest.raises(DatasetError) as caught:
        fitted("class-mean-image", tmp_path, one)
    assert caught.value.problems == ("b", "c")


def test_what_sees_labels_or_references_is_marked() -> None:
    for name in content.names("baselines"):
        baseline = load_toml(content.find("baselines", name), Baseline)
        model = registry.model(baseline.model)
        if isinstance(model, SeesReferences):
            assert model.oracle
            assert baseline.model in ("identity", "griffin-lim", "log-mel-copy", "seen-image-gan")
        if model.oracle:
            assert baseline.kind in ("floor", "ceiling")
            assert "sees labels" in baseline.description or "sees references" in baseline.description
