"""word-accuracy-second: share of outputs that the track's second judge recognises as the right word.

A different network on different features. An output that both recognise contains the word; a system that was fitted to
the first judge loses here what it gained there.

Mean over the items of [argmax_k p_k(output) = class], p (K + 1,) the judge's probabilities with "none" last. In 0..1,
higher is better; a failed item counts 0. A state is (right, class found, probability of the right class):

    >>> import numpy as np
    >>> METRIC.reduce(np.array([[1, 3, 0.9], [0, 2, 0.1], [1, 0, 0.8], [1, 1, 0.7]]), np.ones((1, 4)))
    array([0.75])
"""

from __future__ import annotations

from xmbench.metrics._accuracy import Accuracy

METRIC = Accuracy(
    name="word-accuracy-second",
    version="1",
    modality="audio",
    citation="the protocol of xmbench: a second frozen judge of another architecture",
    judges=("second",),
)
