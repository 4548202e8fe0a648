"""The protocol's speech metrics: properties, and the same values as the stock libraries."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pesq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pystoi import stoi

import xmbench
from tests.conftest import shared
from tests.recordings import RATE_HZ, real_digits
from xmbench import registry
from xmbench.conformance import speech_vectors
from xmbench.interfaces import AudioFormat, ImageFormat, ItemState, Pair, ScoringContext, Task
from xmbench.measures.pesq import raw_from_lqo
from xmbench.media import audio
from xmbench.media.signal import Sound

SPEECH = ("corr2d", "corr2d-floored", "corr2d-linear", "pesq", "pesq-nb", "pesq-wb", "stoi", "stoi-strict", "estoi")
CHEAP = ("corr2d", "corr2d-floored", "corr2d-linear", "stoi", "estoi")
FIXED = 13_168  # samples at 16 kHz: the fixed length of the digit sets
TASK = Task(("0",), ("zero",), ImageFormat(28, 28, 1), AudioFormat(RATE_HZ, FIXED, 0.3, 0.823))
CONTEXT = ScoringContext(TASK)
CLIPS = [vector.pair.reference for vector in speech_vectors()] + [vector.pair.output for vector in speech_vectors()]
clips = st.integers(0, len(CLIPS) - 1).map(lambda i: samples_of(CLIPS[i]))
few = settings(max_examples=8, deadline=None, derandomize=True)


def samples_of(clip: Any) -> np.ndarray:
    fitted = audio.fit_length(clip.samples, FIXED)
    return np.asarray(fitted, dtype=np.float32)


def pair(reference: np.ndarray, output: np.ndarray, name: str = "x") -> Pair:
    return Pair(name, 0, Sound(output.astype(np.float32), RATE_HZ), Sound(reference.astype(np.float32), RATE_HZ))


def states(name: str, pairs: Sequence[Pair]) -> list[ItemState]:
    return registry.metric(name).prepare(pairs, CONTEXT)


def value(name: str, reference: np.ndarray, output: np.ndarray) -> float:
    (state,) = states(name, [pair(reference, output)])
    assert state.state is not None, state
    return float(state.state[0])


@few
@given(clips, clips)
def test_corr2d_is_symmetric(a: np.ndarray, b: np.ndarray) -> None:
    for name in ("corr2d", "corr2d-linear"):
        assert value(name, a, b) == pytest.approx(value(name, b, a), abs=1e-12)


def test_the_other_metrics_are_not_symmetric_and_must_not_be_swapped() -> None:
    vectors = {vector.pair.id: vector.pair for vector in speech_vectors()}
    known, made = (samples_of(side) for side in (vectors["noise-5-db"].reference, vectors["noise-5-db"].output))
    for name in ("pesq", "pesq-wb", "stoi"):
        assert value(name, known, made) != pytest.approx(value(name, made, known), abs=1e-3)


@few
@given(clips, clips, st.floats(0.02, 30.0), st.floats(0.02, 30.0))
def test_a_gain_on_either_side_changes_neither_corr2d_nor_stoi(
    a: np.ndarray, b: np.ndarray, x: float, y: float
) -> None:
    for name in CHEAP:
        assert value(name, x * a, y * b) == pytest.approx(value(name, a, b), abs=2e-4), name


@few
@given(st.permutations(range(5)))
def test_the_order_of_the_items_changes_no_value(order: list[int]) -> None:
    pairs = [pair(samples_of(v.pair.reference), samples_of(v.pair.output), v.pair.id) for v in speech_vectors()[:5]]
    for name in CHEAP:
        straight = states(name, pairs)
        for position, state in zip(order, states(name, [pairs[i] for i in order]), strict=True):
            np.testing.assert_array_equal(state.state, straight[position].state)


@few
@given(st.integers(0, 7), st.integers(1, 6000))
def test_trailing_zeros_of_an_output_up_to_the_fixed_length_change_nothing(which: int, zeros: int) -> None:
    vector = speech_vectors()[which].pair
    known = samples_of(vector.reference)
    assert isinstance(vector.output, Sound)
    short = vector.output.samples
    padded = np.concatenate([short, np.zeros(zeros, dtype=np.float32)])
    one, other = xmbench.score_pair(known, short, RATE_HZ), xmbench.score_pair(known, padded, RATE_HZ)
    if len(short) <= FIXED and len(padded) <= FIXED:
        assert one == other


@few
@given(clips, clips, st.floats(0.0, 1.0), st.integers(0, 100))
def test_every_value_is_within_its_bounds(a: np.ndarray, b: np.ndarray, share: float, seed: int) -> None:
    mixed = share * b + (1 - share) * np.random.default_rng(seed).normal(0, 0.1, FIXED)
    for name in SPEECH:
        metric = registry.metric(name)
        (state,) = states(name, [pair(a, np.clip(mixed, -1, 1))])
        if state.state is not None:
            assert metric.low - 1e-9 <= state.state[0] <= metric.high + 1e-9, name
        assert (state.state is None) == (state.status != "ok")


@few
@given(st.sampled_from(["nan", "inf", "silent", "short"]), clips, st.integers(0, FIXED - 1))
def test_what_cannot_be_measured_is_refused_with_a_status(kind: str, known: np.ndarray, place: int) -> None:
    output = known.copy()
    if kind in ("nan", "inf"):
        output[place] = np.nan if kind == "nan" else np.inf
    elif kind == "silent":
        output[:] = 0.0
    else:
        known, output = known[:1500], output[:1500]
    found = xmbench.score_pair(known, output, RATE_HZ)
    if kind == "short":
        assert found["pesq"] is None
        assert found["status"] != "ok"
        return
    assert found["status"] == {"nan": "non-finite", "inf": "non-finite", "silent": "silent"}[kind]
    assert all(found[name] is None for name in SPEECH)


def distorted(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The clip with noise of 0 to 30 dB below it."""
    level = np.sqrt(np.mean(np.square(clip))) * 10 ** (-rng.uniform(0, 30) / 20)
    return np.asarray(clip + rng.normal(0, level, len(clip)), dtype=np.float32)


def test_the_stock_libraries_say_the_same_on_real_recordings() -> None:
    rng = np.random.default_rng(11)
    compared = {"pesq": 0, "pesq-nb": 0, "pesq-wb": 0, "stoi-strict": 0, "estoi": 0}
    for clip in real_digits(40, seed=7):
        output = distorted(clip, rng)
        ours = xmbench.score_pair(clip, output, RATE_HZ)
        stock: dict[str, float | None] = {}
        for name, mode in (("pesq-nb", "nb"), ("pesq-wb", "wb")):
            try:
                stock[name] = float(pesq.pesq(RATE_HZ, clip, output, mode))
            except (pesq.PesqError, ValueError):
                stock[name] = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            plain, extended = (float(stoi(clip, output, RATE_HZ, extended=e)) for e in (False, True))
        stock["stoi-strict"] = None if plain == 1e-5 else plain
        if stock["pesq-nb"] is not None:
            stock["pesq"] = raw_from_lqo(stock["pesq-nb"])
        if stock["stoi-strict"] is not None:
            stock["estoi"] = extended
            assert ours["stoi"] == ours["stoi-strict"]
        else:
            assert ours["stoi-strict"] is None
            assert ours["stoi"] is not None, "the short-segment rule scores what the stock library cannot"
        for name, expected in stock.items():
            if expected is not None:
                assert ours[name] == pytest.approx(expected, abs=1e-6), name
                compared[name] += 1
            else:
                assert ours[name] is None
    assert min(compared.values()) >= 10, compared


def test_real_recordings_against_themselves_have_stoi_1_and_full_coverage() -> None:
    for clip in real_digits(100, seed=1):
        found = xmbench.score_pair(clip, clip, RATE_HZ)
        assert found["stoi"] == pytest.approx(1.0, abs=1e-9)
        assert found["corr2d"] == pytest.approx(1.0, abs=1e-9)


def test_every_reference_vector_matches_through_the_metrics() -> None:
    folder = shared("reference", "metrics")
    names = {
        "pesq_raw": "pesq",
        "pesq_nb": "pesq-nb",
        "pesq_wb": "pesq-wb",
        "stoi": "stoi",
        "stoi_strict": "stoi-strict",
        "corr2d": "corr2d",
        "corr2d_linear": "corr2d-linear",
    }
    rows = json.loads((folder / "speech_pairs.json").read_text())
    assert len(rows) == 36
    with np.load(folder / "speech_pairs.npz") as arrays:
        for row in rows:
            known, made = (np.float32(arrays[f"{side}_{row['id']:03d}"]) for side in ("ref", "deg"))
            found = xmbench.score_pair(known, made, RATE_HZ)
            for key, name in names.items():
                tolerance = 1e-3 if name.startswith("corr2d") else 1e-6
                assert found[name] == pytest.approx(row[key], abs=tolerance), (row["id"], name)
            if row["estoi_strict"] is not None:
                assert found["estoi"] == pytest.approx(row["estoi_strict"], abs=1e-6)
