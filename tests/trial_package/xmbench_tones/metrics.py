"""Two metrics on these judges, for sounds and pictures alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xmbench.interfaces import ItemState, Pair, ScoringContext
from xmbench.judges.loading import load


@dataclass(frozen=True)
class _Judged:
    name: str
    higher_is_better: bool
    floor: float
    high: float
    version: str = "1"
    modality: str = "any"
    unit: str = ""
    low: float = 0.0
    left_out: frozenset[str] = frozenset()
    judges: tuple[str, ...] = ("first",)
    citation: str = "this package"

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weighted means, shape (B,)."""
        means: NDArray[np.float64] = weights @ states[:, 0] / weights.sum(axis=1)
        return means


class _Accuracy(_Judged):
    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """1 where the judge finds the right class."""
        judge = load(context.judges["first"].weights)
        found = judge.probabilities([pair.output for pair in pairs]).argmax(axis=1)
        return [ItemState("ok", np.array([float(k == p.label)])) for k, p in zip(found, pairs, strict=True)]


class _Gap(_Judged):
    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        """Distance of output and reference in the judge's embedding."""
        judge = load(context.judges["first"].weights)
        ours, theirs = (judge.embed([getattr(pair, side) for pair in pairs]) for side in ("output", "reference"))
        return [ItemState("ok", np.array([float(away)])) for away in np.linalg.norm(ours - theirs, axis=1)]


ACCURACY = _Accuracy("tone-accuracy", True, 0.0, 1.0)
GAP = _Gap("embedding-gap", False, 4.0, 4.0)
