"""A video that shows and sounds its own clock: each frame shows its number, each sample is its own number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmbench.media.video_writer import SoundTrack, write_video

RATE_HZ = 44_100
SIDE_PX = 16
BITS = 6
SIZE_PX = (2 * SIDE_PX, BITS * SIDE_PX)
PERIOD = 60_000


def frame(number: int) -> NDArray[np.uint8]:
    """Six bits as light and dark squares, the lowest one on the left; below them a row that is red on the left."""
    pixels = np.zeros((*SIZE_PX, 3), np.uint8)
    for bit in range(BITS):
        pixels[:SIDE_PX, bit * SIDE_PX : (bit + 1) * SIDE_PX] = 255 * (number >> bit & 1)
    pixels[SIDE_PX:, : 3 * SIDE_PX, 0] = 255
    return pixels


def shown(pixels: NDArray[np.uint8]) -> int:
    """The number that a frame shows."""
    middle = pixels[SIDE_PX // 2, SIDE_PX // 2 :: SIDE_PX].mean(axis=1) > 128
    return int(sum(int(bit) << place for place, bit in enumerate(middle)))


def counting(number: int, offset: int = 0) -> NDArray[np.float32]:
    """Samples that are their own numbers, as 16-bit values."""
    values = (np.arange(number) + offset) % PERIOD - PERIOD // 2
    return (values / 32768).astype(np.float32)


def sounded(samples: NDArray[np.float32]) -> int:
    """The number of the first sample; checks that the others follow it."""
    values = np.rint(samples * 32768).astype(int) + PERIOD // 2
    assert (np.diff(values) % PERIOD == 1).all()
    return int(values[0])


def write(
    path: Path, times: Sequence[Fraction], seconds: float, streams: int = 1, codec: str = "alac", rate_hz: int = RATE_HZ
) -> Path:
    """A clock with frames at some times and sound streams; the second one runs 1,000 samples ahead of the first."""
    sounds = [SoundTrack(counting(round(seconds * rate_hz), 1000 * i), rate_hz, codec) for i in range(streams)]
    write_video(path, _frames(times), SIZE_PX, sounds, quality=0)
    return path


def _frames(times: Sequence[Fraction]) -> Iterator[tuple[Fraction, NDArray[np.uint8]]]:
    for number, time in enumerate(times):
        yield time, frame(number)
