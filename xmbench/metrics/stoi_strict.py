"""stoi-strict: STOI as published, over the items that it covers (30 frames); the rest leave the mean.

J is counted in the reference: no output decides whether its item is left out. In -1..1, higher is better; references
with fewer than 30 frames show in the coverage, a failed item counts -1.

    >>> from xmbench.metrics._examples import noisy_buzz
    >>> METRIC.measure(noisy_buzz()).state.round(3)
    array([0.988])
"""

from __future__ import annotations

from xmbench.metrics._speech import SpeechMetric
from xmbench.metrics._stoi import strict

METRIC = SpeechMetric(
    name="stoi-strict",
    version="2",
    low=-1.0,
    high=1.0,
    floor=-1.0,
    citation="Taal et al., IEEE TASLP 19(7), 2011",
    measure=strict,
    left_out=frozenset({"too-short"}),
    smallest_difference=0.01,
)
