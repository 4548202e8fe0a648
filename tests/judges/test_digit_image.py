"""The digit-image judge: its machinery on an untrained network, its sight on the frozen weights."""

from __future__ import annotations

import gzip
import hashlib
import json
from importlib.resources import files

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.conftest import ROOT, shared
from xmbench.errors import PrerequisiteError
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml
from xmbench.formats.items import read_examples
from xmbench.formats.recipe import Recipe
from xmbench.judges import loading, stored
from xmbench.judges.digits import network, training
from xmbench.judges.digits.network import BATCH, EMBEDDING, DigitImageJudge, DigitNet, seen
from xmbench.media.signal import Picture, Sound
from xmbench.sources.mnist import parse_idx

DIGITS = tuple("0123456789")
NONE = len(DIGITS)
LARGEST_BYTES = 300_000
Pixels = NDArray[np.uint8]
WEIGHTS = files("xmbench") / "judges" / "digits" / "weights"


@pytest.fixture(scope="module")
def untrained() -> DigitImageJudge:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return DigitImageJudge.of(DIGITS, DigitNet(len(DIGITS)).eval())


@pytest.fixture(scope="module")
def frozen() -> DigitImageJudge:
    return DigitImageJudge.from_bytes((WEIGHTS / "digit-images.safetensors").read_bytes())


@pytest.fixture(scope="module")
def images(digits: Dataset) -> list[Pixels]:
    return list(read_examples(digits, "test").images)


# ------------------------------------------------------------------------------------------- machinery
def test_bytes_round_trip_to_the_same_judge(untrained: DigitImageJudge, images: list[Pixels]) -> None:
    data = untrained.data
    network._unpack.cache_clear()
    again = DigitImageJudge.from_bytes(data)
    assert again is not untrained
    assert again.class_names == DIGITS
    assert again.data == data
    assert len(data) <= LARGEST_BYTES
    np.testing.assert_array_equal(again.probabilities(images), untrained.probabilities(images))


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-100], lambda data: b"x" * 50])
def test_damaged_bytes_are_refused(untrained: DigitImageJudge, damage: object) -> None:
    assert callable(damage)
    for read in (DigitImageJudge.from_bytes, loading.load):
        with pytest.raises(PrerequisiteError, match="cannot be read"):
            read(damage(untrained.data))


def test_weights_of_another_judge_or_another_network_are_refused(untrained: DigitImageJudge) -> None:
    spoken = (files("xmbench") / "judges" / "words" / "weights" / "digits.safetensors").read_bytes()
    with pytest.raises(PrerequisiteError, match="another judge"):
        DigitImageJudge.from_bytes(spoken)
    with pytest.raises(PrerequisiteError, match="unknown kind"):
        loading.load(stored.pack({"format": "xmbench/nose/1"}, [untrained.network]))
    about = {"format": network.FORMAT, "classes": ["a", "b"], "size": 28}
    with pytest.raises(PrerequisiteError, match="do not fit"):
        DigitImageJudge.from_bytes(stored.pack(about, [untrained.network]))


def test_probabilities_and_embeddings(untrained: DigitImageJudge, images: list[Pixels]) -> None:
    found = untrained.probabilities(images)
    assert found.shape == (len(images), NONE + 1)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert untrained.embed(images).shape == (len(images), EMBEDDING)
    assert untrained.probabilities([]).shape == (0, NONE + 1)
    assert untrained.embed([]).shape == (0, EMBEDDING)


def test_what_is_seen_does_not_depend_on_the_neighbours(untrained: DigitImageJudge, images: list[Pixels]) -> None:
    many = images * 2
    assert len(many) > BATCH
    together = untrained.probabilities(many)
    np.testing.assert_array_equal(together[:5], untrained.probabilities(many[:5]))
    np.testing.assert_allclose(together[-3:], untrained.probabilities(many[-3:]), atol=1e-6)


def test_the_threads_stay_as_they_were(untrained: DigitImageJudge, images: list[Pixels]) -> None:
    before = torch.get_num_threads()
    untrained.embed(images[:2])
    assert torch.get_num_threads() == before


def test_colour_and_other_sizes_are_seen_in_grey_at_28_pixels() -> None:
    grey = np.full((56, 40, 1), 100, dtype=np.uint8)
    assert seen(grey).shape == (28, 28)
    np.testing.assert_allclose(seen(np.repeat(grey, 3, axis=2)), seen(grey), atol=1e-6)
    red = np.zeros((28, 28, 3), dtype=np.uint8)
    red[:, :, 0] = 255
    np.testing.assert_allclose(seen(red), 0.299, atol=1e-6)


def test_every_judge_takes_media(untrained: DigitImageJudge, images: list[Pixels]) -> None:
    viewer = loading.load(untrained.data)
    assert (viewer.modality, viewer.class_names) == ("image", DIGITS)
    pictures = [Picture(pixels) for pixels in images[:3]]
    np.testing.assert_array_equal(viewer.embed(pictures), untrained.embed(images[:3]))
    np.testing.assert_array_equal(viewer.probabilities(pictures), untrained.probabilities(images[:3]))
    listener = loading.load((files("xmbench") / "judges" / "words" / "weights" / "digits.safetensors").read_bytes())
    sound = Sound(np.random.default_rng(0).normal(0, 0.1, 9000).astype(np.float32), 22050)
    assert listener.modality == "audio"
    assert listener.embed([sound, sound]).shape == (2, 64)
    assert listener.probabilities([sound]).shape == (1, 11)
    for judge, item in ((viewer, sound), (listener, pictures[0])):
        with pytest.raises(TypeError, match="needs"):
            judge.embed([item])


# -------------------------------------------------------------------------------------------- training
def test_training_is_seeded_and_learns(digits: Dataset) -> None:
    examples = read_examples(digits)
    images = np.stack([seen(pixels) for pixels in examples.images])
    labels = examples.labels.tolist()
    lines: list[str] = []
    one, two = (training.fit(images, labels, DIGITS, seed=5, steps=steps, progress=lines.append) for steps in (3, 3))
    assert one.data == two.data
    assert one.data != training.fit(images, labels, DIGITS, seed=6, steps=3, progress=lines.append).data


def test_a_tenth_of_a_batch_shows_nothing_and_values_stay_in_range(digits: Dataset) -> None:
    examples = read_examples(digits)
    images = np.stack([seen(pixels) for pixels in examples.images])
    drawn = training.Augmenter(images, examples.labels.tolist(), np.ones(len(images)), 10, 0)
    for _ in range(5):
        batch, labels = drawn.batch(50)
        assert batch.shape == (50, 28, 28)
        assert float(batch.min()) >= 0
        assert float(batch.max()) <= 1
        assert (labels == NONE).sum() == 5


# ------------------------------------------------------------------------------------------ the frozen one
def test_the_frozen_judge_is_the_one_of_its_card_and_of_the_recipes(frozen: DigitImageJudge) -> None:
    card = json.loads((WEIGHTS / "digit-images.json").read_text())
    assert (card["sha256"], card["bytes"], tuple(card["classes"])) == (
        hashlib.sha256(frozen.data).hexdigest(),
        len(frozen.data),
        DIGITS,
    )
    assert len(frozen.data) <= LARGEST_BYTES
    for name in ("digits-ad", "mnist-ad-voices"):
        track = load_toml(ROOT / "recipes" / f"{name}.toml", Recipe).track("a2i")
        assert track is not None
        assert track.judge is not None
        assert (track.judge.name, track.judge.sha256) == ("digit-images", hashlib.sha256(frozen.data).hexdigest())
    for name, wanted in (("mnist-ad", (10_000, 0.99)), ("digits-ad", (360, 0.98))):
        found = card["accuracy"][f"real test images of {name}"]
        assert found["n"] == wanted[0]
        assert found["accuracy"] >= wanted[1]


def test_real_digits_are_seen(frozen: DigitImageJudge, digits: Dataset) -> None:
    examples = read_examples(digits, "test")
    assert (frozen.probabilities(list(examples.images)).argmax(axis=1) == examples.labels).mean() >= 0.95


def test_mnist_test_images_are_seen_as_the_card_says(frozen: DigitImageJudge) -> None:
    folder = shared("data", "mnist")
    names = {"t10k-images-idx3-ubyte": 3, "t10k-labels-idx1-ubyte": 1}
    images, labels = (
        parse_idx(gzip.decompress((folder / f"{name}.gz").read_bytes()), dimensions, name)
        for name, dimensions in names.items()
    )
    right = frozen.probabilities([pixels[:, :, None] for pixels in images]).argmax(axis=1) == labels
    card = json.loads((WEIGHTS / "digit-images.json").read_text())
    assert right.mean() == pytest.approx(card["accuracy"]["real test images of mnist-ad"]["accuracy"], abs=5e-4)


def test_images_without_a_digit_are_none(frozen: DigitImageJudge, digits: Dataset) -> None:
    rng = np.random.default_rng(0)
    mean = read_examples(digits).images.mean(axis=0)
    pictures = {
        "black": np.zeros((28, 28, 1)),
        "white": np.full((28, 28, 1), 255),
        "grey": np.full((28, 28, 1), 90),
        "uniform noise": rng.integers(0, 256, (28, 28, 1)),
        "faint noise": rng.integers(0, 60, (28, 28, 1)),
        "speckles": 255 * (rng.random((28, 28, 1)) < 0.1),
        "mean of all classes": mean,
    }
    found = frozen.probabilities([np.asarray(picture, dtype=np.uint8) for picture in pictures.values()]).argmax(axis=1)
    assert dict(zip(pictures, found.tolist(), strict=True)) == dict.fromkeys(pictures, NONE)
