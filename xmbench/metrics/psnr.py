"""psnr: peak signal-to-noise ratio of output and reference in dB, 10 log10(255^2 / mean squared error).

Identical images would score infinity: every value is cut off at 100 dB. Two different images with fewer than 153,000
values (390 x 390 in grey) stay below it: one value that is off by 1 gives 10 log10(255^2 N) dB.
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
)
