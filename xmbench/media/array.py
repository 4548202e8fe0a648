"""Files of arrays (.npy): numbers only, with the header that numpy writes. Nothing in them is executed."""

from __future__ import annotations

import math
import re
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import MediaError

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000  # numpy's own limit
_MOST_DIMENSIONS = 32
_ENTRY = re.compile(
    r"""\s*["'](?:
        (?P<descr>descr)["']\s*:\s*["'](?P<type>[<>|=]?[a-zA-Z]\d{0,5})["']
      | (?P<order>fortran_order)["']\s*:\s*(?P<fortran>True|False)
      | (?P<shape>shape)["']\s*:\s*\((?P<sizes>[\d\sL,]*)\)
    )\s*(?:,|(?=\}))""",
    re.VERBOSE | re.ASCII,
)
_EXPECTED = "a .npy file"


def decode_npy(data: bytes) -> NDArray[Any]:
    """Reads an array of integers or floats. Bytes after its values are ignored, as in numpy.

    Raises:
        MediaError: not a .npy file, a header that claims more values than there are, or values that are not numbers.
    """
    header, start = _header(data)
    kind, fortran, shape = _fields(header)
    if kind.kind not in "fiu":
        raise MediaError("not an array of numbers", expected="a .npy file of numbers")
    count = math.prod(shape)
    if count * kind.itemsize > len(data) - start:
        raise _unreadable(f"the header claims an array of shape {_brief(shape)}, the file has {len(data)} bytes")
    try:
        values: NDArray[Any] = np.frombuffer(data, kind, count, start) if count else np.empty(0, kind)
        return values.reshape(shape, order="F" if fortran else "C")
    except (ValueError, OverflowError, MemoryError) as error:
        raise _unreadable(f"shape {_brief(shape)}") from error


def _header(data: bytes) -> tuple[str, int]:
    """The header's text, and where the values start."""
    if not data:
        raise MediaError("empty file", expected=_EXPECTED)
    if data[:6] != _MAGIC or len(data) < 12:
        raise _unreadable("it does not start like one")
    version = data[6], data[7]
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise _unreadable(f"version {version[0]}.{version[1]}")
    form = "<H" if version == (1, 0) else "<I"
    start = 8 + struct.calcsize(form)
    (length,) = struct.unpack_from(form, data, 8)
    if length > _LONGEST_HEADER or start + length > len(data):
        raise _unreadable(f"a header of {length:,} bytes")
    return data[start : start + length].decode("latin-1"), start + length


def _fields(header: str) -> tuple[np.dtype[Any], bool, tuple[int, ...]]:
    """Type, order and shape. The header is a Python literal; only the form that numpy writes is accepted."""
    text = header.strip()
    found: dict[str, str] = {}
    at = 1
    while (entry := _ENTRY.match(text, at)) and len(found) < 6:
        for key, value in (("descr", "type"), ("order", "fortran"), ("shape", "sizes")):
            if entry[key]:
                found[key] = entry[value]
        at = entry.end()
    if text[:1] != "{" or text[at:].strip() != "}" or len(found) != 3:
        raise _unreadable("its header is not that of an array of numbers")
    sizes = [part.strip().rstrip("L") for part in found["shape"].split(",")]
    try:
        shape = tuple(int(part) for part in sizes if part)
        kind = np.dtype(found["descr"])
    except (ValueError, TypeError) as error:
        raise _unreadable(f"not a type or shape of an array: {found['descr']}, {found['shape'][:40]}") from error
    if kind.hasobject:
        raise _unreadable("it holds objects, not numbers")
    if len(shape) > _MOST_DIMENSIONS:
        raise _unreadable(f"{len(shape)} dimensions")
    return kind, found["order"] == "True", shape


def _brief(shape: tuple[int, ...]) -> str:
    text = f"({', '.join(str(size) for size in shape)}{',' if len(shape) == 1 else ''})"
    return text if len(text) <= 60 else f"{text[:60]}..."


def _unreadable(why: str) -> MediaError:
    return MediaError(f"not a readable array ({why})", expected=_EXPECTED)
