"""pesq-wb: MOS-LQO of wide-band PESQ at 16 kHz (ITU-T P.862.2).

In 0.999..4.65, higher is better; a failed item counts 0.999.

    >>> from xmbench.metrics._examples import noisy_buzz
    >>> METRIC.measure(noisy_buzz()).state.round(3)
    array([1.377])
"""

from __future__ import annotations

from xmbench.metrics._pesq import wide
from xmbench.metrics._speech import SpeechMetric

METRIC = SpeechMetric(
    name="pesq-wb",
    version="1",
    low=0.999,
    high=4.65,
    floor=0.999,
    citation="ITU-T P.862.2",
    measure=wide,
    unit="MOS-LQO",
    smallest_difference=0.05,
)
