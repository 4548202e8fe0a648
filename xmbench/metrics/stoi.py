"""stoi: STOI with segments of min(30, J) frames, so that short words have a value too.

Taal et al., 2011: third-octave envelopes (15 bands) of output and reference at 10 kHz, the output's brought to the
reference's energy in each segment and clipped at -15 dB; the mean correlation over bands and segments. J is the number
of frames that are left after silence is removed; from J = 30 on this is the published measure. In -1..1, higher is
better; a failed item counts -1.

    >>> from xmbench.metrics._examples import noisy_buzz
    >>> METRIC.measure(noisy_buzz()).state.round(3)
    array([0.988])
"""

from __future__ import annotations

from functools import partial

from xmbench.metrics._speech import SpeechMetric
from xmbench.metrics._stoi import intelligibility

METRIC = SpeechMetric(
    name="stoi",
    version="2",
    low=-1.0,
    high=1.0,
    floor=-1.0,
    citation="Taal et al., IEEE TASLP 19(7), 2011; segments of N = min(30, J) frames",
    measure=partial(intelligibility, measure="stoi"),
    smallest_difference=0.01,
)
