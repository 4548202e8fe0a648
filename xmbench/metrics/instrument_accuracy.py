"""instrument-accuracy: share of outputs, sounds or images, in which the track's judge finds the right instrument.

Where the judge knows more instruments than the data set has, all others count as none of them. Its accuracy on real
test items is printed with every score: it is an upper bound of what the score can show. One stored item per class
scores well here; `within-class-retrieval`, `coverage` and `diversity` show what this metric does not.

Mean over the items of [argmax_k p_k(output) = class], p (K + 1,) the judge's probabilities with "none" last. In 0..1,
higher is better; a failed item counts 0. A state is (right, class found, probability of the right class):

    >>> import numpy as np
    >>> METRIC.reduce(np.array([[1, 3, 0.9], [0, 2, 0.1], [1, 0, 0.8], [1, 1, 0.7]]), np.ones((1, 4)))
    array([0.75])
"""

from __future__ import annotations

from xmbench.metrics._accuracy import Accuracy

METRIC = Accuracy(
    name="instrument-accuracy",
    version="1",
    modality="any",
    citation="Chen et al., Deep Cross-Modal Audio-Visual Generation, 2017, section 5.2.2: accuracy of a classifier "
    "of instruments on what was generated; here a frozen judge with a class for none of them",
)
