"""word-accuracy-second: share of outputs that the track's second judge hears as the right word.

Another network on other features. A system that pleases both has said the word; one that was fitted to the first judge
loses here what it won there.
"""

from __future__ import annotations

from xmbench.metrics._judged import Accuracy

METRIC = Accuracy(
    name="word-accuracy-second",
    version="1",
    modality="audio",
    citation="the protocol of xmbench: a second frozen judge of another architecture",
    judges=("second",),
)
