"""estoi: extended STOI with segments of min(30, J) frames.

Jensen and Taal, 2016: third-octave envelopes (15 bands) of output and reference, their rows and then their columns
brought to mean 0 and length 1 in each segment; the mean inner product over columns and segments. J is the number of
frames that are left after silence is removed. In -1..1, higher is better; a failed item counts -1.

    >>> from xmbench.metrics._examples import noisy_buzz
    >>> METRIC.measure(noisy_buzz()).state.round(3)
    array([0.595])
"""

from __future__ import annotations

from functools import partial

from xmbench.metrics._speech import SpeechMetric
from xmbench.metrics._stoi import intelligibility

METRIC = SpeechMetric(
    name="estoi",
    version="2",
    low=-1.0,
    high=1.0,
    floor=-1.0,
    citation="Jensen and Taal, IEEE/ACM TASLP 24(11), 2016; segments of N = min(30, J) frames",
    measure=partial(intelligibility, measure="estoi"),
    smallest_difference=0.01,
)
