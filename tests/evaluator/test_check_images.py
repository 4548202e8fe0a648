"""`check` of image outputs: every kind of damage is named, nothing is resized, rescaled or converted."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.drawing import draw, npy, png
from xmbench.errors import MediaError
from xmbench.evaluator.check import check
from xmbench.formats.dataset import Dataset
from xmbench.media import image

GREY = np.arange(28 * 28, dtype=np.uint32).reshape(28, 28).astype(np.uint8)
PICTURE = Image.fromarray(GREY)


def sixteen_bit_rgb() -> bytes:
    """A PNG of 16-bit RGB, which Pillow silently reads as 8-bit and cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(28 * 6) for _ in range(28))
    head = struct.pack(">IIBBBBB", 28, 28, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def bomb() -> bytes:
    """A small file that says that it is 60,000 pixels wide and high."""
    data = bytearray(png(PICTURE))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def big() -> bytes:
    """Fewer pixels than Pillow calls a bomb, many more than asked for."""
    return png(Image.new("L", (9000, 9000)))


def animated() -> bytes:
    return png(PICTURE, save_all=True, append_images=[PICTURE.rotate(90), PICTURE.rotate(180)])


def jpeg() -> bytes:
    return image.encode_jpeg(GREY[:, :, None])


def transparent() -> bytes:
    return png(PICTURE, transparency=0)


DAMAGE = {
    "missing": (None, "missing", "no output"),
    "empty": (b"", "unreadable", "empty file; expected a PNG file"),
    "text": (b"hello, I am a text file\n", "unreadable", "not a readable image"),
    "truncated": (
        png(Image.fromarray(np.random.default_rng(0).integers(0, 255, (28, 28), np.uint8)))[:400],
        "unreadable",
        "not a readable image",
    ),
    "jpeg": (jpeg(), "unreadable", "a JPEG file; expected a PNG file"),
    "gif": (b"GIF89a" + png(PICTURE)[6:], "unreadable", "not a readable image"),
    "small": (png(PICTURE.resize((14, 14))), "unreadable", "image of 14 x 14 pixels; expected 28 x 28"),
    "transposed": (png(PICTURE.resize((20, 28))), "unreadable", "image of 28 x 20 pixels"),
    "bomb": (bomb(), "unreadable", "not a readable image"),
    "big": (big(), "unreadable", "image of 9000 x 9000 pixels; expected 28 x 28"),
    "animated": (animated(), "unreadable", "3 images in one file (animated); expected a single image"),
    "colour": (png(PICTURE.convert("RGB")), "unreadable", "image of shape (28, 28, 3); expected shape (28, 28, 1)"),
    "alpha": (png(PICTURE.convert("RGBA")), "unreadable", "colour with an alpha channel; expected 8-bit grey"),
    "grey-alpha": (png(PICTURE.convert("LA")), "unreadable", "grey with an alpha channel"),
    "palette": (png(PICTURE.convert("P")), "unreadable", "a palette; expected 8-bit grey"),
    "transparent": (transparent(), "unreadable", "a transparent colour"),
    "one-bit": (png(PICTURE.convert("1")), "unreadable", "1-bit pixels"),
    "16-bit": (png(Image.fromarray(GREY.astype(np.uint16) * 257)), "unreadable", "16-bit pixels"),
    "16-bit-rgb": (sixteen_bit_rgb(), "unreadable", "16-bit pixels"),
    "floats": (npy(GREY / 255.0), "unreadable", "pixels of type float64; expected uint8, 0..255"),
    "float-255": (npy(GREY.astype(np.float32)), "unreadable", "pixels of type float32"),
    "nan": (npy(np.full((28, 28), np.nan)), "unreadable", "pixels of type float64"),
    "int64": (npy(GREY.astype(np.int64)), "unreadable", "pixels of type int64"),
    "bool": (npy(GREY > 9), "unreadable", "not an array of numbers"),
    "channels-first": (npy(GREY[None]), "unreadable", "image of shape (1, 28, 28); expected shape (28, 28, 1)"),
    "flat": (npy(GREY.ravel()), "unreadable", "image of shape (784,)"),
    "objects": (b"\x93NUMPY\x01\x00junk", "unreadable", "not a readable array"),
}


@pytest.fixture(scope="module")
def victim(digits: Dataset) -> str:
    return str(digits.table("test", []).column("id")[3].as_py())


def test_the_references_themselves_have_no_problem(digits: Dataset, tmp_path: Path) -> None:
    report = check(draw(digits, tmp_path / "s", kind="ceiling"), digits)
    assert (report.track, report.problems, report.notes) == ("digits-ad/a2i", (), ())


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(digits: Dataset, tmp_path: Path, victim: str, name: str) -> None:
    made, kind, words = DAMAGE[name]
    folder = draw(digits, tmp_path / "s", lambda i, _, x: made if i == victim else x)
    (problem,) = check(folder, digits).problems
    assert (problem.id, problem.kind) == (victim, kind)
    assert words in problem.detail
    assert " at 0x" not in problem.detail  # the same text on every run


@pytest.mark.parametrize("values", [GREY, GREY[:, :, None], np.asfortranarray(GREY)])
def test_arrays_of_bytes_are_images(digits: Dataset, tmp_path: Path, victim: str, values: np.ndarray) -> None:
    folder = draw(digits, tmp_path / "s", lambda i, _, x: npy(values) if i == victim else x)
    assert check(folder, digits).problems == ()


def test_an_even_image_is_an_image_with_a_note(digits: Dataset, tmp_path: Path, victim: str) -> None:
    blank = np.full((28, 28, 1), 7, dtype=np.uint8)
    report = check(draw(digits, tmp_path / "s", lambda i, _, x: blank if i == victim else x, kind="ceiling"), digits)
    assert report.problems == ()
    assert [(note.id, note.detail) for note in report.notes] == [(victim, "every pixel is the same: [7]")]


def test_identical_images_are_counted_in_any_file_format(digits: Dataset, tmp_path: Path) -> None:
    ids = sorted(digits.table("test", []).column("id").to_pylist())
    same = {ids[0]: png(PICTURE), ids[1]: png(PICTURE, compress_level=0), ids[2]: npy(GREY)}
    assert len(set(same.values())) == 3
    report = check(draw(digits, tmp_path / "s", lambda i, _, x: same.get(i, x), kind="ceiling"), digits)
    assert [note.detail for note in report.notes] == ["3 outputs are identical to another one"]


def test_sounds_among_images_and_two_files_of_one_id(digits: Dataset, tmp_path: Path, victim: str) -> None:
    folder = draw(digits, tmp_path / "s")
    (folder / "outputs" / f"{victim}.npy").write_bytes(npy(GREY))
    (folder / "outputs" / "item.wav").write_bytes(b"RIFF")
    found = {problem.kind: problem.detail for problem in check(folder, digits).problems}
    assert set(found) == {"duplicate", "foreign"}
    assert ".png .npy" in found["foreign"]


def test_any_bytes_give_an_image_or_a_media_error() -> None:
    rng = np.random.default_rng(0)
    seeds = [png(PICTURE), png(PICTURE.convert("P")), animated(), sixteen_bit_rgb(), jpeg()]
    taken = 0
    for trial in range(600):
        data = bytearray(seeds[trial % len(seeds)])
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(len(data))] = rng.integers(256)
        if trial % 3 == 0:
            del data[rng.integers(len(data)) :]
        try:
            pixels = image.decode(bytes(data), size_px=(28, 28))
        except MediaError:
            continue
        assert pixels.shape[:2] == (28, 28)
        assert pixels.dtype == np.uint8
        taken += 1
    assert taken < 600
