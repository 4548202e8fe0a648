"""instrument-accuracy-agreed: share of sounds in which both judges of the track find the right instrument.

One judge alone takes some sounds for an instrument out of habit, and sounds can be optimised against it. The two differ
in architecture and features. One stored recording per class is right here, however little it varies: read it
with `class-frechet-distance`, `coverage` and `diversity`.

Mean over the items of [class of the first judge = class of the second = the right one]. In 0..1, higher is better; a
failed item counts 0. A state is (right, class of the first, class of the second), the number of classes for none:

    >>> import numpy as np
    >>> METRIC.reduce(np.array([[1, 3, 3], [0, 2, 7], [0, 10, 10], [1, 1, 1]]), np.ones((1, 4)))
    array([0.5])
"""

from __future__ import annotations

from xmbench.metrics._accuracy import AgreedAccuracy

METRIC = AgreedAccuracy(
    name="instrument-accuracy-agreed",
    version="1",
    modality="audio",
    citation="the protocol of xmbench: an instrument counts if two frozen judges of different architectures hear it",
)
