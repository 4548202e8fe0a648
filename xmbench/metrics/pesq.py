"""pesq: the raw P.862 score, from narrow-band mode at 16 kHz; the PESQ of the papers.

From MOS-LQO: (4.6607 - ln(4 / (LQO - 0.999) - 1)) / 1.4945, the inverse of P.862.1, eq. 1. In -0.5..4.5, higher is
better; a failed item counts -0.5.

    >>> from xmbench.metrics._examples import noisy_buzz
    >>> METRIC.measure(noisy_buzz()).state.round(3)
    array([2.284])
"""

from __future__ import annotations

from functools import partial

from xmbench.metrics._pesq import narrow
from xmbench.metrics._speech import SpeechMetric

METRIC = SpeechMetric(
    name="pesq",
    version="1",
    low=-0.5,
    high=4.5,
    floor=-0.5,
    citation="ITU-T P.862; the inverse of P.862.1, eq. 1",
    measure=partial(narrow, value="raw"),
    smallest_difference=0.05,
)
