"""stoi-best5: the best STOI against the five nearest references of the class.

The largest of the values of `stoi` against the K = 5 references (all of them where there are fewer) whose auditory
spectrograms correlate most with the output's. In -1..1, higher is better; a failed item counts -1.

    >>> from xmbench.metrics._examples import noisy_buzz, takes
    >>> with takes() as context:
    ...     METRIC.prepare([noisy_buzz()], context)[0].state.round(3)
    array([0.988])
"""

from __future__ import annotations

from functools import partial

from xmbench.metrics._nearest import NearestMetric
from xmbench.metrics._stoi import intelligibility

METRIC = NearestMetric(
    name="stoi-best5",
    version="2",
    low=-1.0,
    high=1.0,
    floor=-1.0,
    citation="the protocol of xmbench, multi-take sets; see stoi",
    measure=partial(intelligibility, measure="stoi"),
    take="best",
    smallest_difference=0.01,
)
