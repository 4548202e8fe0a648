"""What metrics of distributions share beside the judge's embedding: the one of random convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import Pair, ScoringContext
from xmbench.judges import random_convolutions
from xmbench.judges.reference_embeddings import embedded_references

RANDOM_SIZE = random_convolutions.SIZE
_KEY = "embedded by random convolutions"


def randomly_embedded(pairs: Sequence[Pair], context: ScoringContext) -> list[NDArray[np.float64]]:
    """Embeddings of output and reference by random convolutions, (128,) per pair; computed once for all metrics."""
    waiting = [pair for pair in pairs if _KEY not in pair.shared]
    if waiting:
        network = random_convolutions.RandomConvolutions()
        made = network.embed([pair.output for pair in waiting])
        items = [pair.reference for pair in waiting]
        digest = random_convolutions.digest(random_convolutions.channels_of(items[0]))
        kept = context.kept
        known = network.embed(items) if kept is None else embedded_references(items, network, kept, digest, "cpu")
        for pair, output, reference in zip(waiting, made, known, strict=True):
            pair.shared[_KEY] = np.concatenate([output, reference]).astype(np.float64)
    return [pair.shared[_KEY] for pair in pairs]
