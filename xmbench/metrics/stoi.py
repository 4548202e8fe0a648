"""stoi: STOI with segments of min(30, J) frames, so that short words have a value too."""

from __future__ import annotations

from functools import partial

from xmbench.metrics._speech import SpeechMetric
from xmbench.metrics._stoi import intelligibility

METRIC = SpeechMetric(
    name="stoi",
    version="1",
    low=-1.0,
    high=1.0,
    floor=0.0,
    citation="Taal et al., IEEE TASLP 19(7), 2011; segments of N = min(30, J) frames",
    measure=partial(intelligibility, measure="stoi"),
)
