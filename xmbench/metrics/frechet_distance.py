"""frechet-distance: how far outputs and references lie apart as distributions, in the judge's embedding.

Lower is better. Two normal distributions are fitted, and their squared Frechet distance is taken:
|m1 - m2|^2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2). Its unit is the judge's own: numbers under different judges, or
on splits of different size, cannot be compared (few items make it larger).

A failed item stays in: the embedding of the neutral output (black, silence) stands for its output, so that leaving
items out moves the outputs away from the references. Resampling repeats items, which makes the distance larger; the
interval is therefore the value and the spread of the resamples around their own mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, Modality, Pair, ScoringContext, Status
from xmbench.metrics._judged import OUTPUT, REFERENCE, embedded

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FrechetDistance:
    """An item has no value of its own; its state is the embeddings of output and reference."""

    name: str = "frechet-distance"
    version: str = "1"
    modality: Modality | Literal["any"] = "any"
    unit: str = ""
    low: float = 0.0
    high: float = float("inf")
    higher_is_better: bool = False
    floor: float | None = None
    left_out: frozenset[Status] = frozenset()
    needs_judge: bool = True
    centred: bool = True
    citation: str = "Dowson and Landau, 1982; Heusel et al., GANs Trained by a Two Time-Scale Update Rule, 2017, eq. 6"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """Embeddings of output and reference."""
        return embedded(pairs, context, self.name)

    def finish(self, states: NDArray[np.float64], usable: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(N, 129) -> (N, 128)."""
        return states[:, : REFERENCE.stop]

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distances of B weighted samples."""
        return np.array([_of_sample(states, row) for row in weights])


def _of_sample(states: Matrix, weights: NDArray[np.float64]) -> float:
    drawn = weights > 0
    own, counts = states[drawn], weights[drawn]
    return frechet(*moments(own[:, OUTPUT], counts), *moments(own[:, REFERENCE], counts))


def moments(points: Matrix, counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], Matrix]:
    """Mean (D,) and unbiased covariance (D, D) of (N, D), each row counted `counts` times; of one item alone: zeros."""
    total = counts.sum()
    mean = counts @ points / total
    away = (points - mean) * np.sqrt(counts)[:, None]
    return mean, away.T @ away / max(total - 1.0, 1.0)


def frechet(mean_a: NDArray[np.float64], cov_a: Matrix, mean_b: NDArray[np.float64], cov_b: Matrix) -> float:
    """Squared Frechet distance of two normal distributions, >= 0. Singular covariances are fine.

    Only symmetric eigenvalues are taken: C1^1/2 C2 C1^1/2 is positive semi-definite, so nothing imaginary appears.
    """
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    inner = root @ cov_b @ root
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh((inner + inner.T) / 2.0), 0.0)).sum()
    apart = np.square(mean_a - mean_b).sum()
    return float(max(0.0, apart + np.trace(cov_a) + np.trace(cov_b) - 2.0 * shared))


METRIC = FrechetDistance()
