"""corr2d: correlation of auditory spectrograms after the power 0.3, the setting of Lip2AudSpec.

With S = wav2aud(x, [10 10 -2 0])^0.3, (frames, 128) at 16 kHz, of output and reference (T samples each, any rate):
sum((S_o - m_o) (S_r - m_r)) / sqrt(sum((S_o - m_o)^2) sum((S_r - m_r)^2)) over all frames and channels, with one mean m
for each. Ning et al., MT-Net, eq. 12. In -1..1, higher is better; a failed item counts -1.

    >>> from xmbench.metrics._examples import noisy_buzz
    >>> METRIC.measure(noisy_buzz()).state.round(3)
    array([0.915])
"""

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
    smallest_difference=0.005,
)
