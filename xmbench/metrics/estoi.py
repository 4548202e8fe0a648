"""estoi: extended STOI with segments of min(30, J) frames."""

from __future__ import annotations

from functools import partial

from xmbench.metrics._speech import SpeechMetric
from xmbench.metrics._stoi import intelligibility

METRIC = SpeechMetric(
    name="estoi",
    version="1",
    low=-1.0,
    high=1.0,
    floor=0.0,
    citation="Jensen and Taal, IEEE/ACM TASLP 24(11), 2016; segments of N = min(30, J) frames",
    measure=partial(intelligibility, measure="estoi"),
)
