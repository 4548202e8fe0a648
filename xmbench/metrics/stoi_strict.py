"""stoi-strict: STOI as published, over the items that it covers (30 frames); the rest leave the mean."""

from __future__ import annotations

from xmbench.metrics._speech import SpeechMetric
from xmbench.metrics._stoi import strict

METRIC = SpeechMetric(
    name="stoi-strict",
    version="1",
    low=-1.0,
    high=1.0,
    floor=0.0,
    citation="Taal et al., IEEE TASLP 19(7), 2011",
    measure=strict,
    left_out=frozenset({"too-short"}),
)
