"""corr2d-linear: correlation of auditory spectrograms as they are, without the power; secondary to corr2d.

The formula of `corr2d` with S = wav2aud(x, [10 10 -2 0]). In -1..1, higher is better; a failed item counts -1.

    >>> from xmbench.metrics._examples import noisy_buzz
    >>> METRIC.measure(noisy_buzz()).state.round(6)
    array([0.999696])
"""

from __future__ import annotations

from functools import partial

from xmbench.metrics._corr2d import correlate
from xmbench.metrics._speech import SpeechMetric

METRIC = SpeechMetric(
    name="corr2d-linear",
    version="1",
    low=-1.0,
    high=1.0,
    floor=-1.0,
    citation="Ning et al., Audio Description from Image by Modal Translation Network, eq. 12",
    measure=partial(correlate, linear=True),
    smallest_difference=0.005,
)
