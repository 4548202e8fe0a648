"""The two kinds of media that xmbench compares, with a cache for what is derived from them.

A `Sound` or `Picture` is one item in memory. Metrics derive expensive values from it (a resampled copy, an
auditory spectrogram); `derived` keeps each under a key, so that several metrics, or several outputs compared
with one reference, compute it once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """One mono clip.

    Attributes:
        samples: float32, shape (T,), range -1..1.
        sample_rate_hz: samples per second.
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int
    _derived: dict[str, Any] = field(default_factory=dict, repr=False)

    def derived(self, key: str, make: Callable[[Sound], Value]) -> Value:
        """What `make` computes from this sound, computed once per key."""
        if key not in self._derived:
            self._derived[key] = make(self)
        value: Value = self._derived[key]
        return value


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One image.

    Attributes:
        pixels: uint8, shape (H, W, C), C = 1 (grey) or 3 (RGB), range 0..255.
    """

    pixels: NDArray[np.uint8]
    _derived: dict[str, Any] = field(default_factory=dict, repr=False)

    def derived(self, key: str, make: Callable[[Picture], Value]) -> Value:
        """What `make` computes from this picture, computed once per key."""
        if key not in self._derived:
            self._derived[key] = make(self)
        value: Value = self._derived[key]
        return value


Media = Sound | Picture
