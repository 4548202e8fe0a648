"""The task of a data set: modalities, directions, formats, classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Modality = Literal["image", "audio"]
Direction = Literal["i2a", "a2i"]
Status = Literal[
    "ok",
    "missing",
    "unreadable",
    "non-finite",
    "silent",
    "too-short",
    "too-long",
    "reference-unscorable",
    "metric-error",
]
# Of outputs that are scored. "too-long": what the fixed length cuts off is not silence; the rest is scored, and the
# submission has a problem.
USABLE: frozenset[Status] = frozenset({"ok", "too-long"})


@dataclass(frozen=True, slots=True)
class Sides:
    """Input and output modality of a direction; each is also the name of the data set's column."""

    condition: Modality
    output: Modality


# The only definition of a direction: all other code asks for the modality of a side.
SIDES: Mapping[Direction, Sides] = {"i2a": Sides("image", "audio"), "a2i": Sides("audio", "image")}


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """Format of every image of a data set: height and width in pixels, 1 (grey) or 3 (RGB) channels."""

    height_px: int
    width_px: int
    channels: int


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Format of every clip of a data set: mono, `samples` long, zero-padded at the end.

    `min_duration_s` and `max_duration_s` bound the clip before padding.
    """

    sample_rate_hz: int
    samples: int
    min_duration_s: float
    max_duration_s: float


@dataclass(frozen=True, slots=True)
class Task:
    """The task of a data set: its classes and the two formats.

    Attributes:
        class_names: names of the K classes, in label order.
        words: what is spoken for each class, in label order (empty for data without speech).
    """

    class_names: tuple[str, ...]
    words: tuple[str, ...]
    image: ImageFormat
    audio: AudioFormat
