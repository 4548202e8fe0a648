"""The reference rows: what each plays, and that chance belongs to an id and not to a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from xmbench import registry
from xmbench.baselines.nearest_class_clip import class_medoids
from xmbench.errors import DatasetError
from xmbench.interfaces import AudioFormat, Classifier, Conditions, Examples, ImageFormat, Run, Task

TASK = Task(("a", "b", "c"), ("a", "b", "c"), ImageFormat(8, 8, 1), AudioFormat(8000, 600, 0.0, 1.0))
ROWS = ["silence", "white-noise", "random-clip", "majority-class", "mean-audio", "nearest-class-clip", "oracle-class"]


def examples_of(count: int = 60, takes: int = 2) -> Examples:
    """Class k has a bright row band k, and `takes` clips; class a has two thirds of the items."""
    random = np.random.default_rng(0)
    labels = np.array([(0, 0, 0, 0, 1, 2)[i % 6] for i in range(count)], dtype=np.int64)
    images = random.integers(0, 50, (count, 8, 8, 1)).astype(np.uint8)
    for i, label in enumerate(labels):
        images[i, 2 * label : 2 * label + 2] += 150
    clips = random.normal(0, 3000, (3 * takes, 600)).astype(np.int16)
    ids = tuple(f"item-{i:03d}" for i in range(count))
    return Examples(ids, labels, images, clips, labels * takes + np.arange(count) // 6 % takes, ids)


def fitted(name: str, folder: Path, examples: Examples, seed: int = 0, **config: Any) -> Any:
    model = registry.model(name)
    assert model.name == name
    run = Run(folder, seed, "cpu", False, lambda _line: None)
    return model.fit(examples, TASK, model.Config(**config), run)


def play(generator: Any, examples: Examples, order: list[int], batch: int) -> NDArray[np.float32]:
    """Outputs in the order of the ids, whatever the order and the batches they were asked in."""
    found = np.empty((len(order), 600), dtype=np.float32)
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        ids = tuple(examples.ids[i] for i in part)
        found[part] = generator.generate(Conditions(ids, examples.images[part], examples.labels[part]), "i2a")
    return found


@pytest.mark.parametrize("name", ROWS)
def test_outputs_do_not_depend_on_batches_or_order(tmp_path: Path, name: str) -> None:
    examples = examples_of()
    generator = fitted(name, tmp_path, examples, **({"min_steps": 2} if name == "nearest-class-clip" else {}))
    first = play(generator, examples, list(range(60)), 7)
    np.testing.assert_array_equal(first, play(generator, examples, list(range(60))[::-1], 60))
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1.0
    assert np.isfinite(first).all()


@pytest.mark.parametrize("name", ["white-noise", "random-clip", "oracle-class"])
def test_chance_follows_the_seed(tmp_path: Path, name: str) -> None:
    examples = examples_of()
    first, second = (play(fitted(name, tmp_path, examples, seed), examples, list(range(60)), 9) for seed in (0, 1))
    assert (first != second).any()


def test_silence(tmp_path: Path) -> None:
    assert not play(fitted("silence", tmp_path, examples_of()), examples_of(), list(range(60)), 60).any()


def test_white_noise_has_the_level_of_the_training_items(tmp_path: Path) -> None:
    examples = examples_of()
    noise = play(fitted("white-noise", tmp_path, examples), examples, list(range(60)), 60)
    level = np.sqrt(np.square(examples.clips[examples.clip_index] / 32768.0).mean())
    assert np.sqrt(np.square(noise).mean()) == pytest.approx(level, rel=0.02)
    assert len(np.unique(noise[:, 0])) == 60


def test_random_clips_are_training_clips_as_frequent_as_their_items(tmp_path: Path) -> None:
    examples = examples_of(600)
    found = play(fitted("random-clip", tmp_path, examples), examples_of(60), list(range(60)), 60)
    stored = (examples.clips / np.float32(32768)).astype(np.float32)
    matches = (found[:, None] == stored[None]).all(axis=2)
    assert matches.sum(axis=1).tolist() == [1] * 60
    assert matches[:, :2].sum() > 30  # class a has two thirds of the items


def test_the_most_frequent_class_is_always_the_answer(tmp_path: Path) -> None:
    examples = examples_of()
    found = play(fitted("majority-class", tmp_path, examples), examples, list(range(60)), 60)
    stored = (examples.clips / np.float32(32768)).astype(np.float32)
    matches = (found[:, None] == stored[None]).all(axis=2)
    assert matches[:, :2].any(axis=1).all()  # class a has two thirds of the items
    assert matches.any(axis=0)[:2].all()  # each of its takes is heard


def test_mean_audio_is_weighted_by_items(tmp_path: Path) -> None:
    examples = examples_of()
    wanted = (examples.clips[examples.clip_index] / 32768.0).mean(axis=0)
    found = play(fitted("mean-audio", tmp_path, examples), examples, list(range(60)), 60)
    np.testing.assert_allclose(found, np.tile(wanted, (60, 1)), atol=1e-6)


def test_the_oracle_is_the_reference_in_single_take_data(tmp_path: Path) -> None:
    examples = examples_of(takes=1)
    assert registry.model("oracle-class").oracle
    found = play(fitted("oracle-class", tmp_path, examples), examples, list(range(60)), 60)
    np.testing.assert_array_equal(np.rint(found * 32768).astype(np.int16), examples.clips[examples.clip_index])


def test_the_oracle_needs_a_clip_of_every_class(tmp_path: Path) -> None:
    examples = examples_of()
    one = Examples(
        examples.ids,
        np.zeros(60, dtype=np.int64),
        *(getattr(examples, name) for name in ("images", "clips", "clip_index", "groups")),
    )
    with pytest.raises(DatasetError) as caught:
        fitted("oracle-class", tmp_path, one)
    assert caught.value.problems == ("b", "c")


def test_nearest_class_clip_plays_the_medoid_of_the_class_it_sees(tmp_path: Path) -> None:
    examples = examples_of(120)
    generator = fitted("nearest-class-clip", tmp_path, examples, min_steps=60, batch=16)
    assert isinstance(generator, Classifier)
    classes = generator.predict(Conditions(examples.ids, examples.images))
    assert classes is not None
    assert (classes == examples.labels).mean() > 0.95
    medoids = class_medoids(examples, 3, 64, 0)
    found = play(generator, examples, list(range(120)), 120)
    np.testing.assert_allclose(found, examples.clips[medoids[classes]] / 32768.0, atol=1e-7)


def test_the_medoid_is_the_clip_most_like_the_others() -> None:
    random = np.random.default_rng(1)
    base = random.normal(0, 5000, 2048)
    clips = np.stack([base + random.normal(0, level, 2048) for level in (3000, 1, 3000, 3000)]).astype(np.int16)
    labels = np.zeros(4, dtype=np.int64)
    ids = ("a", "b", "c", "d")
    examples = Examples(ids, labels, np.zeros((4, 8, 8, 1), dtype=np.uint8), clips, np.arange(4), ids)
    assert class_medoids(examples, 2, 64, 0).tolist() == [1, 0]
    assert class_medoids(examples, 1, 2, 0)[0] in range(4)
