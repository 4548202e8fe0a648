"""pesq-best5: the best raw PESQ against the five nearest references of the class.

The largest of the values of `pesq` against the K = 5 references (all of them where there are fewer) whose auditory
spectrograms correlate most with the output's. In -0.5..4.5, higher is better; a failed item counts -0.5.

    >>> from xmbench.metrics._examples import noisy_buzz, takes
    >>> with takes() as context:
    ...     METRIC.prepare([noisy_buzz()], context)[0].state.round(3)
    array([2.287])
"""

from __future__ import annotations

from functools import partial

from xmbench.metrics._nearest import NearestMetric
from xmbench.metrics._pesq import narrow

METRIC = NearestMetric(
    name="pesq-best5",
    version="1",
    low=-0.5,
    high=4.5,
    floor=-0.5,
    citation="the protocol of xmbench, multi-take sets; see pesq",
    measure=partial(narrow, value="raw"),
    take="best",
    smallest_difference=0.05,
)
