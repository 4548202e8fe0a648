"""Many small images as one lossless WebP image, one below the other: half the size of as many PNG files."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from xmbench.errors import MediaError, PrerequisiteError
from xmbench.media import image

LONGEST_PX = 16383  # of a side of a WebP image
MOST_IMAGES = 512
_METHOD, _EFFORT = 4, 100  # measured on MNIST: method 6 takes 60 to 100 times as long for 1 % less


def strip_images(height_px: int, width_px: int) -> int:
    """How many images of a size one strip holds; 0 where WebP cannot hold one."""
    return 0 if width_px > LONGEST_PX else min(MOST_IMAGES, LONGEST_PX // height_px)


def require_webp() -> None:
    """Raises PrerequisiteError where Pillow was built without WebP."""
    if not features.check("webp"):
        raise PrerequisiteError(
            "Pillow was built without WebP", todo="install Pillow from its wheel: pip install --force-reinstall pillow"
        )


def encode_strip(pixels: NDArray[np.uint8]) -> bytes:
    """A WebP file of images (N, H, W, C), C = 1 or 3; exact."""
    count, height, width, channels = pixels.shape
    column = pixels.reshape(count * height, width, channels)
    picture = Image.fromarray(column[:, :, 0] if channels == 1 else column, image.MODES[channels])
    stream = io.BytesIO()
    picture.save(stream, format="WEBP", lossless=True, method=_METHOD, quality=_EFFORT)
    return stream.getvalue()


def decode_strip(data: bytes, height_px: int, width_px: int, channels: int) -> NDArray[np.uint8]:
    """The images (N, height_px, width_px, channels) of a strip.

    Raises:
        MediaError: not a strip of such images.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as picture:
            width, height = picture.size
            if width != width_px or height % height_px or height > LONGEST_PX:
                raise MediaError(
                    f"a strip of {height} x {width} pixels", expected=f"images of {height_px} x {width_px}"
                )
            column = np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"not a readable strip ({error})", expected="a WebP file") from error
    return np.ascontiguousarray(column[:, :, :channels]).reshape(-1, height_px, width_px, channels)
