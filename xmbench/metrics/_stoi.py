"""STOI and ESTOI of a pair, from one shared pass at the data set's own rate (pystoi resamples to 10 kHz)."""

from __future__ import annotations

from typing import Literal

from xmbench.interfaces import ItemState, Pair
from xmbench.measures.stoi import MIN_FRAMES, SEGMENT_FRAMES, Prepared, StoiScores, prepare, stoi_scores
from xmbench.media.signal import Sound
from xmbench.metrics._speech import item, once


def _prepared(sound: Sound) -> Prepared:
    return sound.derived("stoi", lambda s: prepare(s.samples, s.sample_rate_hz))


def _scores(pair: Pair) -> StoiScores:
    return once(pair, "stoi", lambda a, b: stoi_scores(_prepared(a), _prepared(b), a.sample_rate_hz))


def intelligibility(pair: Pair, *, measure: Literal["stoi", "estoi"]) -> ItemState:
    """By the short-segment rule: every clip of at least 8 frames has a value."""
    scores = _scores(pair)
    value = scores.stoi if measure == "stoi" else scores.estoi
    detail = f"{scores.frames} frames of speech, {MIN_FRAMES} needed" if scores.status == "too-short" else ""
    return item(value, scores.status, detail)


def strict(pair: Pair) -> ItemState:
    """Only where the published measure is defined: 30 frames or more."""
    scores = _scores(pair)
    if not scores.strict and scores.status != "reference-unscorable":
        return ItemState("too-short", None, f"{scores.frames} frames of speech, {SEGMENT_FRAMES} needed")
    return intelligibility(pair, measure="stoi")
