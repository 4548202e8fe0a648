"""Images: decode, encode, resize. Pixels are uint8, shape (H, W, C), C = 1 (grey) or 3 (RGB)."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from xmbench.errors import MediaError

MODES = {1: "L", 3: "RGB"}


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
    """A JPEG file of (H, W, C), for showing."""
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, MODES[pixels.shape[2]])
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=quality)
    return stream.getvalue()


def decode(data: bytes) -> NDArray[np.uint8]:
    """Reads an image file into (H, W, C).

    Raises:
        MediaError: no readable image, or a mode other than grey and RGB.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            mode, pixels = picture.mode, np.asarray(picture)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"no readable image ({error})", expected="a PNG or JPEG file") from error
    if mode not in MODES.values() or pixels.dtype != np.uint8:
        raise MediaError(f"image mode {mode}", expected="8-bit grey (L) or RGB")
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def resize(pixels: NDArray[np.uint8], height_px: int, width_px: int) -> NDArray[np.uint8]:
    """Bicubic resize of (H, W, C) to (height_px, width_px, C)."""
    channels = pixels.shape[2]
    picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels, MODES[channels])
    resized = np.asarray(picture.resize((width_px, height_px), Image.Resampling.BICUBIC))
    return resized[:, :, None] if resized.ndim == 2 else resized
