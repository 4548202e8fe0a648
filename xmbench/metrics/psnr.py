"""psnr: peak signal-to-noise ratio of output and reference in dB, 10 log10(255^2 / mean squared error).

Of images (H, W, C) in 0..255. In 0..100 dB, higher is better; a failed item counts 0. Identical images would score
infinity: every value is cut off at 100 dB. Two different images with fewer than 153,000 values (390 x 390 in grey) stay
below it: one value that is off by 1 gives 10 log10(255^2 N) dB.

    >>> from xmbench.metrics._examples import brighter_ramp
    >>> METRIC.measure(brighter_ramp()).state.round(3)  # 20 log10(255 / 5)
    array([34.151])
"""

from __future__ import annotations

import numpy as np

from xmbench.interfaces import ItemState, Pair
from xmbench.measures.psnr import MOST_DB, noise_ratio
from xmbench.metrics._picture import PictureMetric, pixels


def measure(pair: Pair) -> ItemState:
    """The ratio of one pair, 0..100 dB."""
    return ItemState("ok", np.array([noise_ratio(*pixels(pair))]))


METRIC = PictureMetric(
    name="psnr",
    version="1",
    low=0.0,
    high=MOST_DB,
    floor=0.0,
    unit="dB",
    citation="Huynh-Thu and Ghanbari, Scope of validity of PSNR in image/video quality assessment, 2008",
    measure=measure,
    smallest_difference=0.2,  # dB: a step of quality that viewers do not tell apart
)
