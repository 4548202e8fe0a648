"""pesq-mean5: the mean raw PESQ against the five nearest references of the class."""

from __future__ import annotations

from functools import partial

from xmbench.metrics._nearest import NearestMetric
from xmbench.metrics._pesq import narrow

METRIC = NearestMetric(
    name="pesq-mean5",
    version="1",
    low=-0.5,
    high=4.5,
    floor=-0.5,
    citation="the protocol of xmbench, multi-take sets; see pesq",
    measure=partial(narrow, value="raw"),
    take="mean",
)
