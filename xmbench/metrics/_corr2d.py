"""Corr2D of a pair: each sound's spectrogram is computed once for all metrics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, Pair
from xmbench.measures.auditory_spectrogram import auditory_spectrogram
from xmbench.measures.corr2d import CORR2D_POWER, compress, correlation2d, floored
from xmbench.media.signal import Sound
from xmbench.metrics._speech import at_16_khz, sounds


def spectrum(sound: Sound) -> NDArray[np.float64]:
    """The auditory spectrogram (frames, 128), computed once per sound."""
    return sound.derived("auditory", lambda s: auditory_spectrogram(at_16_khz(s)))


def compressed(sound: Sound) -> NDArray[np.float64]:
    """The same with every element to the power 0.3, computed once per sound."""
    return sound.derived("auditory^0.3", lambda s: compress(spectrum(s), CORR2D_POWER))


def correlate(pair: Pair, *, linear: bool) -> ItemState:
    """One Pearson correlation over all time-frequency bins, -1..1."""
    shape = spectrum if linear else compressed
    reference, output = (shape(sound) for sound in sounds(pair))
    return _state(reference, output)


def correlate_floored(pair: Pair) -> ItemState:
    """The same after the power, with both clipped at 60 dB under the reference's peak."""
    reference, output = (compressed(sound) for sound in sounds(pair))
    return _state(*floored(reference, output))


def _state(reference: NDArray[np.float64], output: NDArray[np.float64]) -> ItemState:
    value = correlation2d(reference, output)
    if value is not None:
        return ItemState("ok", np.array([value]))
    if correlation2d(reference, reference) is None:
        return ItemState("reference-unscorable", None, "the reference's auditory spectrogram is constant")
    return ItemState("silent", None, "the output's auditory spectrogram is constant")
