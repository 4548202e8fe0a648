"""Small PNG files that unpack to large ones: refused, or read without what they carry beside their pixels."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from xmbench.errors import MediaError
from xmbench.media import image

PIXELS = np.random.default_rng(0).integers(0, 255, (28, 28, 1), dtype=np.uint8)
ZEROS = zlib.compress(bytes(400_000_000), 9)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(made: bytes) -> bytes:
    file = image.encode_png(PIXELS)
    return file[:33] + made + file[33:]


def sized(width: int, height: int, data: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


FILES = {
    "text": with_chunk(chunk(b"zTXt", b"Comment\0\0" + ZEROS)),
    "international text": with_chunk(chunk(b"iTXt", b"Comment\0\x01\0\0\0" + ZEROS)),
    "colour profile": with_chunk(chunk(b"iCCP", b"name\0\0" + ZEROS)),
    "many texts": with_chunk(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_000_000))) * 200),
    "pixels": sized(20_000, 20_000, ZEROS),
    "pixels of the right size and more": sized(28, 28, ZEROS),
    "the widest": sized(2**31 - 1, 1, ZEROS[:1000]),
    "the largest": sized(2**31 - 1, 2**31 - 1, b""),
    "no pixels": sized(0, 0, b""),
}


@pytest.mark.parametrize("size", [(28, 28), None])
@pytest.mark.parametrize("name", FILES)
def test_a_bomb_takes_little_time_and_memory(name: str, size: tuple[int, int] | None) -> None:
    start = time.monotonic()
    tracemalloc.start()
    try:
        read = image.decode(FILES[name], size_px=size).shape == (28, 28, 1)
    except MediaError:
        read = False
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6
    assert time.monotonic() - start < 5
    assert not read or name in ("colour profile", "pixels of the right size and more")


def test_an_interlaced_image_is_an_image() -> None:
    """Written by hand: seven passes over 1 x 1 pixels are one."""
    raw = zlib.compress(b"\0\x07")
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 1))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", raw) + chunk(b"IEND", b"")
    assert image.decode(data).tolist() == [[[7]]]


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "I;16", "1"])
def test_other_pixels_are_named(mode: str) -> None:
    stream = io.BytesIO()
    Image.new(mode, (28, 28)).save(stream, "PNG")
    with pytest.raises(MediaError, match=r"pixels|palette|alpha"):
        image.decode(stream.getvalue())


def test_any_cut_is_an_image_or_a_media_error() -> None:
    data = image.encode_png(PIXELS)
    for length in range(0, len(data), 7):
        with suppress(MediaError):
            assert image.decode(data[:length]).shape == (28, 28, 1)
