"""Pickles as data: everything that numpy and Python write of it is read, and anything else is refused unrun."""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
import struct
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import shared
from xmbench.errors import UpstreamError
from xmbench.sources._pickles import read_pickle

PLAIN = {
    "numbers": [0, 1, 255, 256, 65535, 65536, -1, 2**31, -(2**63), 2**80],
    "text": "Zoë ☃ and more",
    "bytes": bytes(range(256)),
    "empty": b"",
    "nested": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, {"a": [None, True, False, 1.5]}],
}
ARRAYS = [
    np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(5, dtype=">i4"),
    np.zeros((0, 7), np.int64),
    np.arange(100_000, dtype=np.uint8),
    np.array([True, False]),
]


class Evil:
    """Runs a command when `pickle` loads it."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call[0], self.call[1:]


def old_numpy(array: np.ndarray) -> bytes:
    """As Python 2 and numpy 1 wrote `{"data": array}`: the form of the published CIFAR files."""
    data = array.tobytes()
    shape = b"".join(b"J" + struct.pack("<i", size) for size in array.shape)
    return (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85"
        b"U\x01b\x87Rq\x05(K\x01" + b"(" + shape + b"t" + b"cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03"
        b"U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<I", len(data)) + data + b"tbu."
    )


def published_names() -> bytes:
    """CIFAR-10's `batches.meta`, put together by hand."""
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    memo = iter(range(1, 100))

    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode() + b"q" + bytes([next(memo)])

    head = b"\x80\x02}q" + bytes([next(memo)]) + b"(" + text("num_cases_per_batch") + b"M\x10'" + text("label_names")
    listed = b"]q" + bytes([next(memo)]) + b"(" + b"".join(map(text, names)) + b"e"
    return head + listed + text("num_vis") + b"M\x00\x0cu."


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_of_every_protocol(protocol: int) -> None:
    found = read_pickle(pickle.dumps(PLAIN, protocol), "x")
    if protocol < 3:
        found["bytes"], found["empty"] = bytes(found["bytes"]), bytes(found["empty"])
    assert found == PLAIN


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("k", range(len(ARRAYS)))
def test_arrays_of_every_protocol(protocol: int, k: int) -> None:
    found = read_pickle(pickle.dumps({"data": ARRAYS[k]}, protocol), "x")["data"]
    assert found.dtype == ARRAYS[k].dtype
    assert np.array_equal(found, ARRAYS[k])


def test_arrays_of_python_2_are_views_of_the_file() -> None:
    wanted = np.arange(300_000, dtype=np.uint8).reshape(100, 3000)
    data = old_numpy(wanted)
    tracemalloc.start()
    found = read_pickle(data, "x")["data"]
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()
    assert np.array_equal(found, wanted)


def test_the_published_class_names_of_cifar_10() -> None:
    """The bytes are those that were published: their sha256 is the published one."""
    data = published_names()
    assert hashlib.sha256(data).hexdigest() == "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb"
    found = read_pickle(data, "batches.meta")
    assert found["label_names"][0] == b"airplane"
    assert (found["num_cases_per_batch"], found["num_vis"]) == (10_000, 3072)


# --------------------------------------------------------------------------------------------- malicious
@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_a_command_is_refused_and_named(protocol: int, tmp_path: Path) -> None:
    import os

    trace = tmp_path / "was-run"
    with pytest.raises(UpstreamError, match=r"asks for '(posix|nt)\.system': refused") as caught:
        read_pickle(pickle.dumps({"labels": Evil(os.system, f"touch {trace}")}, protocol), "data_batch_1")
    assert not trace.exists()
    assert "data_batch_1" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Evil(eval, "1"), "eval'"),
        (Evil(getattr, "a", "upper"), "getattr'"),
        (Evil(np.load, "x.npy"), "numpy.load'"),
        (print, "print'"),
        (OrderedDict(), "OrderedDict'"),
        (np.float64(1.0), "scalar'"),
    ],
)
def test_names_that_are_no_data_are_named(value: Any, named: str) -> None:
    with pytest.raises(UpstreamError, match=named):
        read_pickle(pickle.dumps({"a": value}, 2), "x")


@pytest.mark.parametrize(
    ("code", "named"),
    [
        (b"\x80\x02(ios\nsystem\n.", "instance of a class"),
        (b"\x80\x02(cos\nsystem\nX\x01\x00\x00\x00ao.", "os.system"),
        (b"\x80\x02cnumpy\ndtype\n)\x81.", "new object"),
        (b"\x80\x02\x82\x01.", "extension"),
        (b"\x80\x02K\x00Q.", "outside the file"),
        (b"\x80\x05\x97.", "buffer from outside"),
        (b"\x80\x02\xfe.", "0xfe"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"\x80\x02c__builtin__\nbytes.__class__\n.", "bytes.__class__"),
    ],
)
def test_every_way_to_code_is_refused(code: bytes, named: str) -> None:
    with pytest.raises(UpstreamError, match=named) as caught:
        read_pickle(code, "x")
    assert "refused, and nothing was run" in str(caught.value)


def test_arrays_of_objects_are_refused() -> None:
    with pytest.raises(UpstreamError, match="'O8'"):
        read_pickle(pickle.dumps({"a": np.array([print, 1], dtype=object)}, 2).replace(b"cbuiltins", b"cnumpy"), "x")


def test_allowed_names_take_only_what_makes_data() -> None:
    for call in (
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R",
        b"c__builtin__\nbytes\nM\xff\xff\x85R",
    ):
        with pytest.raises(UpstreamError, match="arguments of another kind"):
            read_pickle(b"\x80\x02}X\x01\x00\x00\x00a" + call + b"s.", "x")


# ----------------------------------------------------------------------------------------------- damaged
@given(st.data())
def test_a_pickle_cut_anywhere_is_refused(data: st.DataObject) -> None:
    whole = pickle.dumps({"data": ARRAYS[0], **PLAIN}, data.draw(st.integers(0, 5)))
    with pytest.raises(UpstreamError, match="damaged pickle") as caught:
        read_pickle(whole[: data.draw(st.integers(0, len(whole) - 1))], "cut-file")
    assert "cut-file" in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        assert isinstance(read_pickle(data, "x"), dict)
    except UpstreamError:
        return


@pytest.mark.parametrize("value", [[1], "text", 5, np.arange(3)])
def test_only_a_dict_is_what_we_want(value: Any) -> None:
    with pytest.raises(UpstreamError, match="instead of a dict"):
        read_pickle(pickle.dumps(value, 2), "x")


def test_shapes_and_sizes_must_agree() -> None:
    whole = old_numpy(np.zeros((4, 5), np.uint8))
    for size in (6, 4, -5, 2**31 - 1):
        data = whole.replace(struct.pack("<i", 5), struct.pack("<i", size))
        with pytest.raises(UpstreamError, match="shape"):
            read_pickle(data, "x")


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x02]r\xff\xff\xff\xff.",  # a memo of 4 thousand million places
        b"\x80\x04\x8e" + b"\xff" * 8 + b".",  # bytes without end
        b"\x80\x02" + b"(" * 10_000 + b".",
        b"\x80\x02N" + b"\x85" * 200_000 + b".",  # tuples in tuples
        b"\x80\x02}" + b"N" + b"\x85" * 100_000 + b"Ns.",  # such a tuple as a key
        b"I" + b"9" * 100_000 + b"\n.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
    ],
)
def test_bombs_are_refused_in_little_memory(code: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(UpstreamError):
        read_pickle(code, "x")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_every_instruction_of_python_is_read_or_refused_by_name() -> None:
    """No instruction that Python knows ends as one that we have never heard of, unless it calls."""
    unheard = []
    for code in pickletools.opcodes:
        try:
            read_pickle(code.code.encode("latin-1") + b"." * 20, "x")
        except UpstreamError as error:
            if "which data does not need" in str(error):
                unheard.append(code.name)
    assert unheard == []


def test_real_pickles_are_read_as_python_reads_them() -> None:
    """Ours against Python's own, on a file that was made here from real images."""
    from PIL import Image

    with Image.open(shared("data", "cifar100", "test", "apple.webp")) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 32, 32, 3)
    batch = {
        b"data": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(len(pixels), -1),
        b"fine_labels": [0] * len(pixels),
        b"filenames": [b"apple.png"] * len(pixels),
    }
    for protocol in range(6):
        data = pickle.dumps(batch, protocol)
        wanted = pickle.load(io.BytesIO(data), encoding="bytes")
        found = read_pickle(data, "x")
        assert np.array_equal(found["data"], wanted[b"data"])
        assert found["fine_labels"] == wanted[b"fine_labels"]
        assert [bytes(name) for name in found["filenames"]] == wanted[b"filenames"]
