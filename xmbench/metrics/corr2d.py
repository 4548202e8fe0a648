"""corr2d: correlation of auditory spectrograms after the power 0.3, the setting of Lip2AudSpec."""

from __future__ import annotations

from functools import partial

from xmbench.metrics._corr2d import correlate
from xmbench.metrics._speech import SpeechMetric

METRIC = SpeechMetric(
    name="corr2d",
    version="1",
    low=-1.0,
    high=1.0,
    floor=-1.0,
    citation="Ning et al., Audio Description from Image by Modal Translation Network, eq. 12; "
    "Akbari et al., Lip2AudSpec, ICASSP 2018 (power 0.3)",
    measure=partial(correlate, linear=False),
)
