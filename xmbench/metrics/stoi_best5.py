"""stoi-best5: the best STOI against the five nearest references of the class."""

from __future__ import annotations

from functools import partial

from xmbench.metrics._nearest import NearestMetric
from xmbench.metrics._stoi import intelligibility

METRIC = NearestMetric(
    name="stoi-best5",
    version="1",
    low=-1.0,
    high=1.0,
    floor=0.0,
    citation="the protocol of xmbench, multi-take sets; see stoi",
    measure=partial(intelligibility, measure="stoi"),
    take="best",
)
