"""corr2d-linear: correlation of auditory spectrograms as they are; secondary to corr2d."""

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
)
