"""The idx reader: real files, and every way in which a file can be wrong."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import shared
from tests.upstreams import Memory
from xmbench.errors import UpstreamError
from xmbench.interfaces import AudioFormat, Entry, ImageFormat, RawImage, Task
from xmbench.sources.mnist import FILES, SOURCE, MnistOptions, parse_idx

TASK = Task(tuple("0123456789"), (), ImageFormat(28, 28, 1), AudioFormat(22050, 18140, 0.322, 0.823))
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def idx(values: np.ndarray) -> bytes:
    """An idx file of unsigned bytes."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def corpus(images: np.ndarray, labels: np.ndarray, split: str = "train") -> Memory:
    names = FILES[split]
    return Memory({names[0]: idx(images), names[1]: idx(labels)})


def entries(upstream: Memory) -> list[Entry]:
    return SOURCE.entries(upstream, MnistOptions(), TASK)


shapes = st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple)


@given(shapes, st.integers(0, 2**32 - 1))
def test_what_is_written_is_read(shape: tuple[int, ...], seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    read = parse_idx(idx(values), len(shape), "x")
    assert read.shape == shape
    assert (read == values).all()


@given(shapes, st.data())
def test_a_file_cut_anywhere_is_refused(shape: tuple[int, ...], data: st.DataObject) -> None:
    whole = idx(np.zeros(shape))
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(UpstreamError) as caught:
        parse_idx(whole[:cut], len(shape), "cut-file")
    assert "cut-file" in str(caught.value)
    assert caught.value.expected


@given(shapes, st.binary(min_size=1, max_size=20))
def test_trailing_bytes_are_refused(shape: tuple[int, ...], more: bytes) -> None:
    with pytest.raises(UpstreamError, match="too long"):
        parse_idx(idx(np.zeros(shape)) + more, len(shape), "x")


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        values = parse_idx(data, 3, "x")
    except UpstreamError:
        return
    assert values.ndim == 3


def test_wrong_magic_says_found_and_expected() -> None:
    labels = idx(np.zeros(3))
    with pytest.raises(UpstreamError) as caught:
        parse_idx(labels, 3, "train-images-idx3-ubyte")
    assert "00000801" in str(caught.value)
    assert "00000803" in str(caught.value)


def test_count_mismatch_names_both_files() -> None:
    with pytest.raises(UpstreamError) as caught:
        entries(corpus(np.zeros((3, 28, 28)), np.zeros(4)))
    assert "3 images and 4 labels" in str(caught.value)
    assert "train-images-idx3-ubyte, train-labels-idx1-ubyte" in str(caught.value)


def test_label_without_a_class() -> None:
    with pytest.raises(UpstreamError, match="label 10 at position 1"):
        entries(corpus(np.zeros((2, 28, 28)), np.array([3, 10])))


def test_no_known_file() -> None:
    with pytest.raises(UpstreamError, match="no files of a known form"):
        entries(Memory({"other": b""}))


def test_entries_and_pixels_agree() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28))
    upstream = corpus(images, np.array([0, 1, 2, 3, 9]), "test")
    found = entries(upstream)
    assert [entry.key for entry in found] == [f"test-{i:05d}" for i in range(5)]
    assert [entry.label for entry in found] == [0, 1, 2, 3, 9]
    chosen = [found[4], found[1]]
    for entry, raw in zip(chosen, SOURCE.read(upstream, MnistOptions(), TASK, chosen), strict=True):
        assert isinstance(raw, RawImage)
        assert (raw.pixels[:, :, 0] == images[entry.locator[1]]).all()


def test_the_real_files_hold_mnist() -> None:
    folder = shared("data", "mnist")
    names = [name for pair in FILES.values() for name in pair]
    found = entries(Memory({name: gzip.decompress((folder / f"{name}.gz").read_bytes()) for name in names}))
    for split, wanted in (("train", TRAIN_COUNTS), ("test", TEST_COUNTS)):
        labels = [entry.label for entry in found if entry.split == split]
        assert np.bincount(labels).tolist() == wanted
