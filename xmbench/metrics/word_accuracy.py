"""word-accuracy: share of outputs that the track's spoken-word judge hears as the right word.

The judge's accuracy on real recordings is printed beside every score: no system can be trusted beyond it.
"""

from __future__ import annotations

from xmbench.metrics._judged import Accuracy

METRIC = Accuracy(
    name="word-accuracy",
    version="1",
    modality="audio",
    citation="the protocol of xmbench: a frozen spoken-word judge with a class for no word",
)
