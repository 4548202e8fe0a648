"""pesq-nb: MOS-LQO of narrow-band PESQ at 16 kHz (ITU-T P.862.1).

In 0.999..4.56, higher is better; a failed item counts 0.999.

    >>> from xmbench.metrics._examples import noisy_buzz
    >>> METRIC.measure(noisy_buzz()).state.round(3)
    array([1.892])
"""

from __future__ import annotations

from functools import partial

from xmbench.metrics._pesq import narrow
from xmbench.metrics._speech import SpeechMetric

METRIC = SpeechMetric(
    name="pesq-nb",
    version="1",
    low=0.999,
    high=4.56,
    floor=0.999,
    citation="ITU-T P.862.1",
    measure=partial(narrow, value="lqo"),
    unit="MOS-LQO",
    smallest_difference=0.05,
)
