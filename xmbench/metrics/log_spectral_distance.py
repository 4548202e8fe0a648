"""log-spectral-distance: how far the log spectra of output and reference are apart, in dB. Lower is better.

With P the power in dB of a frame and frequency (Hann windows of 2,048 samples every 512, at the sounds' own rate, not
below -100 dB of a full-scale sinusoid): the mean over frames of sqrt(mean over frequencies of (P_o - P_r)^2). Phases do
not count, levels do: twice the amplitude everywhere is 6.02 dB. All frequencies count alike, heard or not.

In 0..106.02 dB; a failed item counts the upper bound.

    >>> from xmbench.metrics._examples import noisy_buzz
    >>> METRIC.measure(noisy_buzz()).state.round(3)
    array([22.084])
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, Pair
from xmbench.measures.log_spectral_distance import MOST_DB, log_spectral_distance, log_spectrum
from xmbench.media.signal import Sound
from xmbench.metrics._speech import SpeechMetric, sounds


def spectrum(sound: Sound) -> NDArray[np.float64]:
    """Power in dB (frames, 1025), computed once per sound."""
    return sound.derived("log spectrum", lambda s: log_spectrum(s.samples))


def measure(pair: Pair) -> ItemState:
    """The distance of one pair, 0..106.02 dB."""
    reference, output = (spectrum(sound) for sound in sounds(pair))
    return ItemState("ok", np.array([log_spectral_distance(reference, output)]))


METRIC = SpeechMetric(
    name="log-spectral-distance",
    version="1",
    low=0.0,
    high=MOST_DB,
    floor=MOST_DB,
    unit="dB",
    higher_is_better=False,
    citation="Gray and Markel, Distance measures for speech processing, IEEE Trans. ASSP 24(5), 1976; "
    "Kuleshov et al., Audio super-resolution using neural nets, 2017, eq. 5 (frames)",
    measure=measure,
    smallest_difference=0.1,  # dB
)
