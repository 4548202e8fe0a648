"""corr2d-floored: correlation of auditory spectrograms, both clipped at 60 dB under the reference's peak.

The formula of `corr2d` with c_r = max(S_r, f) and c_o = max(S_o, f mean(S_o) / mean(S_r)) in place of S = wav2aud(x,
[10 10 -2 0])^0.3: f = 1e-3^0.3 max(S_r), 60 dB under the reference's peak (S before the power is linear in amplitude),
and both means over the bins in which S_r > f. The second floor is the first at the output's level, so that a gain
changes nothing. `corr2d` counts noise that nobody hears: the power 0.3 lifts it, and most of a padded clip is pause. In
-1..1, higher is better; a failed item counts -1.

    >>> from xmbench.metrics._examples import noisy_buzz
    >>> METRIC.measure(noisy_buzz()).state.round(3)
    array([0.975])
"""

from __future__ import annotations

from xmbench.metrics._corr2d import correlate_floored
from xmbench.metrics._speech import SpeechMetric

METRIC = SpeechMetric(
    name="corr2d-floored",
    version="1",
    low=-1.0,
    high=1.0,
    floor=-1.0,
    citation="the protocol of xmbench: corr2d above a floor of 60 dB under the reference's peak",
    measure=correlate_floored,
    smallest_difference=0.005,
)
