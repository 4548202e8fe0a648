"""Wav and flac files of any rate and any number of channels -> mono samples, for sources that read whole clips."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.errors import MediaError
from xmbench.interfaces import RawClip, Rejected
from xmbench.media import audio

RATES_HZ = (2_000, 384_000)  # others are damaged headers; resampling from them would fill the memory


def read_mono(data: bytes, name: str) -> RawClip | Rejected:
    """Decodes one file and averages its channels, at the file's own rate.

    Args:
        data: of the file.
        name: of the file, for the reason.
    """
    try:
        samples, rate = audio.decode(data)
    except MediaError as error:
        return Rejected("read", "corrupt-audio", f"{name}: {error.what}")
    return mixed(samples, rate, name)


def mixed(samples: NDArray[np.float32], rate: int, name: str) -> RawClip | Rejected:
    """The mean of the channels of decoded samples (T, channels), or what is wrong with them."""
    if not len(samples):
        return Rejected("read", "no-samples", f"{name}: no samples")
    if not np.isfinite(samples).all():
        return Rejected("read", "non-finite", f"{name}: samples that are not finite numbers")
    if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
        return Rejected("read", "odd-rate", f"{name}: {rate} Hz, expected {RATES_HZ[0]} to {RATES_HZ[1]} Hz")
    # Float files may hold any number: without the cut one channel could hide the other.
    mono = np.clip(samples, -1.0, 1.0).mean(axis=1, dtype=np.float64)
    return RawClip(audio.to_int16(mono), rate)
