"""Files of arrays: what numpy writes is read as numpy reads it; nothing else is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from xmbench.errors import MediaError
from xmbench.media.array import decode_npy

KINDS = st.one_of(
    arrays.integer_dtypes(endianness="?"), arrays.unsigned_integer_dtypes(endianness="?"), arrays.floating_dtypes()
)


@given(
    values=KINDS.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=1, min_side=0, max_side=5))),
    fortran=st.booleans(),
    version=st.sampled_from([(1, 0), (2, 0), (3, 0)]),
)
def test_what_numpy_writes_is_read(values: np.ndarray, fortran: bool, version: tuple[int, int]) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asfortranarray(values) if fortran else values, version, allow_pickle=False)
    found = decode_npy(stream.getvalue() + b"more")
    assert found.dtype == values.dtype
    assert found.shape == values.shape
    assert found.tobytes() == values.tobytes()


@pytest.mark.parametrize("values", [np.array(["a"]), np.array([True]), np.array([1j]), np.zeros(2, "datetime64[s]")])
def test_other_values_are_no_numbers(values: np.ndarray) -> None:
    stream = io.BytesIO()
    np.save(stream, values)
    with pytest.raises(MediaError, match="array"):
        decode_npy(stream.getvalue())


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
        '{"shape":(1 , ),"descr":"<f4","fortran_order":False}',
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1L,), }   \n",
    ],
)
def test_other_writers_have_other_headers(header: str) -> None:
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0\0\x80?"
    assert decode_npy(data).tolist() == [1.0]


@given(st.binary(max_size=200), st.integers(1, 3))
def test_any_other_header_is_a_media_error(header: bytes, version: int) -> None:
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    with pytest.raises(MediaError):
        decode_npy(b"\x93NUMPY" + bytes([version, 0]) + length + header)
