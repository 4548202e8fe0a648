"""corr2d-best5: the best Corr2D against the five nearest references of the class."""

from __future__ import annotations

from functools import partial

from xmbench.metrics._corr2d import correlate
from xmbench.metrics._nearest import NearestMetric

METRIC = NearestMetric(
    name="corr2d-best5",
    version="1",
    low=-1.0,
    high=1.0,
    floor=-1.0,
    citation="the protocol of xmbench, multi-take sets; see corr2d",
    measure=partial(correlate, linear=False),
    take="best",
)
