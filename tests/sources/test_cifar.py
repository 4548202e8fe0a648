"""CIFAR in its three forms: the same images from each, and every way in which a file can be wrong."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import shared
from tests.sources.test_pickles import Evil, published_names
from tests.upstreams import Memory
from xmbench.builder.plan import load_recipe
from xmbench.errors import UpstreamError
from xmbench.interfaces import AudioFormat, Entry, ImageFormat, RawImage, Rejected, Task
from xmbench.sources.cifar import FILES, SOURCE, CifarOptions, read_batch

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FORMAT = (ImageFormat(32, 32, 3), AudioFormat(22050, 24020, 0.359, 1.089))
TASK = Task(CLASSES, CLASSES, *FORMAT)
BATCH = "cifar-10-batches-py/data_batch_1"


def images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def planar(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1))


def batch(pixels: NDArray[np.uint8], labels: list[int], key: bytes = b"labels", **changes: Any) -> bytes:
    return pickle.dumps({b"data": planar(pixels), key: labels, **{k.encode(): v for k, v in changes.items()}}, 2)


def binary(pixels: NDArray[np.uint8], *labels: list[int]) -> bytes:
    columns = [np.array(column, np.uint8)[:, None] for column in labels]
    return np.concatenate([*columns, planar(pixels)], axis=1).tobytes()


def png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def entries(files: Mapping[str, bytes], task: Task = TASK, **options: Any) -> list[Entry]:
    return SOURCE.entries(Memory(files), CifarOptions(**options), task)


def pixels_of(files: Mapping[str, bytes], found: list[Entry], **options: Any) -> list[NDArray[np.uint8]]:
    raw = list(SOURCE.read(Memory(files), CifarOptions(**options), TASK, found))
    assert all(isinstance(value, RawImage) for value in raw)
    return [value.pixels for value in raw if isinstance(value, RawImage)]


# ----------------------------------------------------------------------------------------------- content
def test_pickles_and_binary_files_give_the_same_items() -> None:
    """Two training files and a test file: numbered through in published order."""
    parts = {"data_batch_1": (4, [3, 1, 4, 1]), "data_batch_2": (3, [5, 9, 2]), "test_batch": (2, [6, 0])}
    made = {name: (images(count, k), labels) for k, (name, (count, labels)) in enumerate(parts.items())}
    pickles = {f"cifar-10-batches-py/{name}": batch(*part) for name, part in made.items()}
    pickles["cifar-10-batches-py/batches.meta"] = published_names()
    binaries = {f"cifar-10-batches-bin/{name}.bin": binary(*part) for name, part in reversed(made.items())}
    found, other = entries(pickles), entries(binaries)
    assert [entry.key for entry in found] == [*(f"train-{i:05d}" for i in range(7)), "test-00000", "test-00001"]
    assert [entry.label for entry in found] == [3, 1, 4, 1, 5, 9, 2, 6, 0]
    assert [(e.key, e.split, e.label, e.group) for e in found] == [(e.key, e.split, e.label, e.group) for e in other]
    wanted = np.concatenate([pixels for pixels, _ in made.values()])
    for files, listed in ((pickles, found), (binaries, other)):
        assert np.array_equal(np.stack(pixels_of(files, listed)), wanted)
        picked = [listed[i] for i in (8, 2, 5, 0)]
        assert np.array_equal(np.stack(pixels_of(files, picked)), wanted[[8, 2, 5, 0]])


@pytest.mark.parametrize("labels", ["fine", "coarse"])
def test_cifar_100_has_two_kinds_of_labels(labels: str) -> None:
    task = Task(tuple(f"class-{i}" for i in range(20)), (), *FORMAT)
    pixels, fine, coarse = images(3), [7, 8, 19], [1, 2, 3]
    wanted = fine if labels == "fine" else coarse
    forms = [
        {"cifar-100-python/train": batch(pixels, fine, b"fine_labels", coarse_labels=coarse)},
        {"cifar-100-binary/train.bin": binary(pixels, coarse, fine)},
    ]
    for files in forms:
        found = entries(files, task, labels=labels)
        assert [entry.label for entry in found] == wanted
        assert np.array_equal(np.stack(pixels_of(files, found, labels=labels)), pixels)


def test_directories_of_images() -> None:
    """Sorted by class and name; a class of two words may be written in several ways."""
    task = Task(("aquarium_fish", "cat"), (), *FORMAT)
    pixels = images(4)
    names = ["test/cat/z.png", "train/cat/b.png", "train/aquarium-fish/a.png", "train/cat/a.png"]
    files = {name: png(picture) for name, picture in zip(names, pixels, strict=True)}
    found = entries(files, task)
    wanted = [("train-00000", 0, 2), ("train-00001", 1, 3), ("train-00002", 1, 1), ("test-00000", 1, 0)]
    assert [(entry.key, entry.label) for entry in found] == [(key, label) for key, label, _ in wanted]
    for read, (_, _, k) in zip(pixels_of(files, found), wanted, strict=True):
        assert np.array_equal(read, pixels[k])


def test_a_broken_image_in_a_directory_is_recorded() -> None:
    files = {"train/cat/a.png": png(images(1)[0]), "train/cat/b.png": b"no image"}
    raw = list(SOURCE.read(Memory(files), CifarOptions(), TASK, entries(files)))
    assert isinstance(raw[0], RawImage)
    assert isinstance(raw[1], Rejected)
    assert (raw[1].reason, raw[1].filtered) == ("corrupt-image", False)
    assert "train/cat/b.png" in raw[1].detail


def test_labels_of_numpy_are_labels_too() -> None:
    assert [e.label for e in entries({BATCH: batch(images(2), np.array([4, 5]))})] == [4, 5]  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------- damaged
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (batch(images(3), [1, 2]), "3 images and 2 labels"),
        (batch(images(2), [1, 10]), "label 10 at position 1"),
        (batch(images(2), [-1, 1]), "label -1 at position 0"),
        (batch(images(2), [1.5, 1]), "no list of labels"),  # type: ignore[list-item]
        (batch(images(2), [1, 1], b"fine_labels"), r"no list of labels \('labels'\)"),
        (pickle.dumps({"data": planar(images(2))[:, :100], "labels": [1, 1]}, 2), r"shape \(2, 100\)"),
        (pickle.dumps({"data": planar(images(2)).astype(float), "labels": [1, 1]}, 2), "float64"),
        (pickle.dumps({"data": b"", "labels": []}, 2), "are bytes"),
        (pickle.dumps({"labels": []}, 2), "are NoneType"),
        (pickle.dumps([1], 2), "instead of a dict"),
        (b"", "damaged pickle"),
    ],
)
def test_damaged_pickles_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(UpstreamError, match=said) as caught:
        entries({BATCH: data})
    assert caught.value.where == BATCH
    assert caught.value.expected


def test_a_malicious_pickle_among_good_ones_is_named() -> None:
    import os

    files = {
        BATCH: batch(images(1), [1]),
        "cifar-10-batches-py/test_batch": pickle.dumps({"data": Evil(os.remove, "x")}),
    }
    with pytest.raises(UpstreamError, match="remove'") as caught:
        entries(files)
    assert caught.value.where == "cifar-10-batches-py/test_batch"


@given(st.integers(1, 3), st.data())
def test_a_binary_file_cut_anywhere_is_refused(count: int, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["cifar-10-batches-bin/test_batch.bin", "cifar-100-binary/test.bin"]))
    whole = binary(images(count), *([[1] * count] * (2 if "100" in name else 1)))
    size = len(whole) // count
    cut = data.draw(st.integers(0, len(whole) - 1).filter(lambda at: at % size or at == 0))
    with pytest.raises(UpstreamError, match="cut off"):
        read_batch(whole[:cut], name, CifarOptions())


def test_classes_of_another_order_are_noticed() -> None:
    files = {BATCH: batch(images(1), [0]), "cifar-10-batches-py/batches.meta": published_names()}
    assert len(entries(files)) == 1
    with pytest.raises(UpstreamError, match="its classes") as caught:
        entries(files, Task((*CLASSES[1:], CLASSES[0]), (), *FORMAT))
    assert "airplane, automobile" in str(caught.value)
    broken = {**files, "cifar-10-batches-py/batches.meta": pickle.dumps({"label_names": None})}
    with pytest.raises(UpstreamError, match="not there"):
        entries(broken)


def test_images_that_are_missing_are_noticed() -> None:
    with pytest.raises(UpstreamError, match="missing or too many") as caught:
        entries({BATCH: batch(images(2), [1, 1])}, train_images=3, test_images=1)
    assert caught.value.problems == ("train: 2 images, expected 3", "test: 0 images, expected 1")


def test_unknown_files_and_directories() -> None:
    with pytest.raises(UpstreamError, match="no files of a known form"):
        entries({"readme.html": b"", "train/loose.png": b""})
    with pytest.raises(UpstreamError, match="not classes") as caught:
        entries({"train/cat/a.png": b"", "train/unicorn/a.png": b"", "test/unicorn/a.png": b""})
    assert caught.value.problems == (
        "test/unicorn: not a class of the recipe",
        "train/unicorn: not a class of the recipe",
    )


# -------------------------------------------------------------------------------------------------- real
def test_every_published_file_is_in_the_recipes() -> None:
    for names, forms in (("cifar10-ad", FILES[0::2]), ("cifar100-ad", FILES[1::2])):
        for recipe in (load_recipe(names), load_recipe(f"{names}-voices")):
            listed = {file.name for file in recipe.sources["cifar"].files}
            assert {name for form in forms for files in form.values() for name in files} <= listed


def test_real_photographs_survive_the_way_through_a_pickle() -> None:
    folder = shared("data", "cifar100", "test")
    task = load_recipe("cifar100-ad").task
    pixels, labels = [], []
    for k, name in enumerate(task.class_names[:3]):
        with Image.open(folder / f"{name}.webp") as strip:
            pixels.append(np.asarray(strip.convert("RGB")).reshape(-1, 32, 32, 3))
        labels += [k] * len(pixels[-1])
    whole = np.concatenate(pixels)
    files = {"cifar-100-python/test": batch(whole, labels, b"fine_labels")}
    found = entries(files, task)
    assert np.array_equal(np.stack(pixels_of(files, found)), whole)
    assert [entry.label for entry in found] == labels


def test_classes_are_spoken_as_words() -> None:
    task = load_recipe("cifar100-ad").task
    assert len(task.words) == 100
    assert task.words[1] == "aquarium fish"
    assert not any("_" in word for word in task.words)
