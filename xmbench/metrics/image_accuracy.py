"""image-accuracy: share of outputs in which the track's image judge sees the right class.

The judge's accuracy on real test images is printed beside every score: no system can be trusted beyond it. A class
mean scores well here; `diversity` and `frechet-distance` show what this does not.
"""

from __future__ import annotations

from xmbench.metrics._judged import Accuracy

METRIC = Accuracy(
    name="image-accuracy",
    version="1",
    modality="image",
    citation="the protocol of xmbench: a frozen image judge with a class for no image of the list",
)
