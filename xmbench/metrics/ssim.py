"""ssim: structural similarity of output and reference.

Wang et al., 2004, eq. 13: (2 m_o m_r + C1) (2 s_or + C2) / ((m_o^2 + m_r^2 + C1) (s_o^2 + s_r^2 + C2)) with local means
and (co)variances, of images (H, W, C) in 0..255. The published settings: a Gaussian window of 11x11 pixels with
standard deviation 1.5, K1 = 0.01, K2 = 0.03, range 255; the mean over all positions where the window is inside
the image, and over the channels. In -1..1, higher is better; a failed item counts -1.

    >>> from xmbench.metrics._examples import brighter_ramp
    >>> METRIC.measure(brighter_ramp()).state.round(3)
    array([0.999])
"""

from __future__ import annotations

import numpy as np

from xmbench.interfaces import ItemState, Pair
from xmbench.measures.ssim import WINDOW_PX, similarity
from xmbench.metrics._picture import PictureMetric, pixels


def measure(pair: Pair) -> ItemState:
    """The similarity of one pair."""
    reference, output = pixels(pair)
    if min(reference.shape[:2]) < WINDOW_PX:
        detail = f"images smaller than the window of {WINDOW_PX} pixels"
        return ItemState("reference-unscorable", None, detail)
    return ItemState("ok", np.array([similarity(reference, output)]))


METRIC = PictureMetric(
    name="ssim",
    version="1",
    low=-1.0,
    high=1.0,
    floor=-1.0,
    citation="Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, 2004, eq. 13",
    measure=measure,
    smallest_difference=0.01,  # a step of quality that viewers do not tell apart
)
