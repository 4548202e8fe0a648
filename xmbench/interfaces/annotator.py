"""Annotator: a pretrained network that labels data while a data set is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces.task import Modality
from xmbench.media.signal import Media


class Annotator(Protocol):
    """A pretrained network that labels data while a data set is built; never the judge that grades it."""

    name: str
    modality: Modality

    def label(self, items: Sequence[Media]) -> NDArray[np.float32]:
        """Class probabilities, shape (N, K)."""
        ...
