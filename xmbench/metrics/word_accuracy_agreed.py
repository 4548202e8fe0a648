"""word-accuracy-agreed: share of outputs in which both judges of the track recognise the right word.

Primary where takes vary. One judge alone has words of its own: sounds that were optimised against it, and half-right
sounds that it accepts out of habit. The two differ in architecture and features. Sounds optimised against both pass:
they are told by `corr2d-best5`, which is far below that of a random clip, and are not ranked.

Mean over the items of [class of the first judge = class of the second = the right one]. In 0..1, higher is better; a
failed item counts 0. A state is (right, class of the first, class of the second), the number of classes for none:

    >>> import numpy as np
    >>> METRIC.reduce(np.array([[1, 3, 3], [0, 2, 7], [0, 10, 10], [1, 1, 1]]), np.ones((1, 4)))
    array([0.5])
"""

from __future__ import annotations

from xmbench.metrics._accuracy import AgreedAccuracy

METRIC = AgreedAccuracy(
    name="word-accuracy-agreed",
    version="1",
    modality="audio",
    citation="the protocol of xmbench: a word counts if two frozen judges of different architectures hear it",
)
