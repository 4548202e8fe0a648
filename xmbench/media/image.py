"""Images: decode, encode, resize. Pixels are uint8, shape (H, W, C), C = 1 (grey) or 3 (RGB)."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features

from xmbench.errors import MediaError

MODES = {1: "L", 3: "RGB"}
FORMATS = ("PNG", "JPEG")
_DESCRIPTIONS = {
    "1": "1-bit pixels",
    "P": "a palette",
    "PA": "a palette with alpha",
    "LA": "grey with an alpha channel",
    "RGBA": "colour with an alpha channel",
    "I": "32-bit pixels",
    "I;16": "16-bit pixels",
    "F": "float pixels",
}
_PNG_DEPTH_AT = 24  # offset of the bit depth in a PNG file: after the signature, chunk header, width and height
_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of (H, W, C); the same pixels always give the same bytes with one version of Pillow."""
    channels = pixels.shape[2]
    picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels, MODES[channels])
    stream = io.BytesIO()
    picture.save(stream, format="PNG", compress_level=6)
    return stream.getvalue()


def encode_palette_png(indices: NDArray[np.uint8], colours: NDArray[np.uint8]) -> bytes:
    """A PNG file of (H, W) indices into a palette (N, 3) of at most 256 colours: a third of the size of RGB."""
    picture = Image.fromarray(indices, "P")
    picture.putpalette(colours.tobytes())
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = 80) -> bytes:
    """A JPEG file of (H, W, C), for display."""
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, MODES[pixels.shape[2]])
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=quality)
    return stream.getvalue()


def jpeg_decoder() -> str:
    """Version of the JPEG decoder: others round pixels differently."""
    return features.version("libjpeg_turbo") or features.version("jpg") or "unknown"


def decode(
    data: bytes, *, size_px: tuple[int, int] | None = None, formats: tuple[str, ...] = FORMATS
) -> NDArray[np.uint8]:
    """Reads an image file into (H, W, C). Nothing is converted: anything but 8-bit grey or RGB is refused.

    Args:
        data: the bytes of the file.
        size_px: height and width that it must have; another size is refused before its pixels are unpacked.
        formats: kinds of files, as Pillow names them.

    Raises:
        MediaError: not a readable image, more than one image, another size, or pixels other than 8-bit grey and RGB.
    """
    expected = f"a {' or '.join(formats)} file"
    if not data:
        raise MediaError("empty file", expected=expected)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damage outside the pixels
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                _refuse(picture, data, size_px, formats)
                picture.load()
                pixels = np.asarray(picture)
    except UnidentifiedImageError as error:
        raise MediaError("not a readable image", expected=expected) from error
    except _DAMAGE as error:
        raise MediaError(f"not a readable image ({error})", expected=expected) from error
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _refuse(picture: Image.Image, data: bytes, size_px: tuple[int, int] | None, formats: tuple[str, ...]) -> None:
    """Raises MediaError for a header that does not fit."""
    if picture.format not in formats:
        raise MediaError(f"a {picture.format} file", expected=f"a {' or '.join(formats)} file")
    if size_px is not None and (picture.height, picture.width) != size_px:
        found = f"image of {picture.height} x {picture.width} pixels"
        raise MediaError(found, expected=f"{size_px[0]} x {size_px[1]} (height x width)")
    if getattr(picture, "n_frames", 1) > 1:
        raise MediaError(f"{getattr(picture, 'n_frames', 1)} images in one file (animated)", expected="a single image")
    if picture.mode not in MODES.values():
        raise MediaError(
            _DESCRIPTIONS.get(picture.mode, f"image mode {picture.mode}"), expected="8-bit grey (L) or RGB"
        )
    if picture.format == "PNG" and data[_PNG_DEPTH_AT] > 8:  # Pillow would drop the lower half of 16-bit RGB silently
        raise MediaError(f"{data[_PNG_DEPTH_AT]}-bit pixels", expected="8-bit grey (L) or RGB")
    if "transparency" in picture.info:
        raise MediaError("a transparent colour", expected="8-bit grey (L) or RGB without transparency")


def centred_square(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The square in the middle of (H, W, C), of its shorter side; a pixel nearer to the top left where it is odd."""
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]


def resize(pixels: NDArray[np.uint8], height_px: int, width_px: int) -> NDArray[np.uint8]:
    """Bicubic resize of (H, W, C) to (height_px, width_px, C)."""
    channels = pixels.shape[2]
    picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels, MODES[channels])
    resized = np.asarray(picture.resize((width_px, height_px), Image.Resampling.BICUBIC))
    return resized[:, :, None] if resized.ndim == 2 else resized
