"""PESQ of a pair at 16 kHz: each mode of the C code runs once per pair for all metrics."""

from __future__ import annotations

from typing import Literal

from xmbench.interfaces import ItemState, Pair
from xmbench.measures.pesq import PesqScore, pesq_scores
from xmbench.metrics._speech import at_16_khz, item, once


def narrow(pair: Pair, *, value: Literal["raw", "lqo"]) -> ItemState:
    """Narrow-band mode: the raw P.862 score, or MOS-LQO."""
    scores = once(
        pair, "pesq-nb", lambda a, b: pesq_scores(at_16_khz(a), at_16_khz(b), narrow_band=True, wide_band=False)
    )
    return _state(scores.raw if value == "raw" else scores.nb)


def wide(pair: Pair) -> ItemState:
    """Wide-band mode, MOS-LQO."""
    scores = once(
        pair, "pesq-wb", lambda a, b: pesq_scores(at_16_khz(a), at_16_khz(b), narrow_band=False, wide_band=True)
    )
    return _state(scores.wb)


def _state(score: PesqScore | None) -> ItemState:
    assert score is not None  # the mode was requested
    return item(score.value, score.status, score.detail)
