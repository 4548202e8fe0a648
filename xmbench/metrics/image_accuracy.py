"""image-accuracy: share of outputs that the track's image judge classifies correctly.

The judge's accuracy on real test images is printed with every score: it is an upper bound of what the score can show.
A class mean scores well here; `diversity` and `frechet-distance` show what this metric does not.

Mean over the items of [argmax_k p_k(output) = class], p (K + 1,) the judge's probabilities with "none" last. In 0..1,
higher is better; a failed item counts 0. A state is (right, class found, probability of the right class):

    >>> import numpy as np
    >>> METRIC.reduce(np.array([[1, 3, 0.9], [0, 2, 0.1], [1, 0, 0.8], [1, 1, 0.7]]), np.ones((1, 4)))
    array([0.75])
"""

from __future__ import annotations

from xmbench.metrics._accuracy import Accuracy

METRIC = Accuracy(
    name="image-accuracy",
    version="1",
    modality="image",
    citation="the protocol of xmbench: a frozen image judge with a class for no image of the list",
)
