"""word-accuracy: share of outputs that the track's spoken-word judge recognises as the right word.

The judge's accuracy on real recordings is printed with every score: it is an upper bound of what the score can show.

Mean over the items of [argmax_k p_k(output) = class], p (K + 1,) the judge's probabilities with "none" last. In 0..1,
higher is better; a failed item counts 0. A state is (right, class found, probability of the right class):

    >>> import numpy as np
    >>> METRIC.reduce(np.array([[1, 3, 0.9], [0, 2, 0.1], [1, 0, 0.8], [1, 1, 0.7]]), np.ones((1, 4)))
    array([0.75])
"""

from __future__ import annotations

from xmbench.metrics._accuracy import Accuracy

METRIC = Accuracy(
    name="word-accuracy",
    version="1",
    modality="audio",
    citation="the protocol of xmbench: a frozen spoken-word judge with a class for no word",
)
