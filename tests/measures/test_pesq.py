"""PESQ against stored references and by its failures."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmbench.errors import PrerequisiteError
from xmbench.measures import pesq
from xmbench.measures.pesq import PesqScore, pesq_scores, raw_from_lqo


def test_the_reference_pairs(speech_pairs: list[Any]) -> None:
    for pair in speech_pairs:
        scores = pesq_scores(pair.reference, pair.output)
        for name, score in (("pesq_nb", scores.nb), ("pesq_wb", scores.wb), ("pesq_raw", scores.raw)):
            expected = pair.expected[name]
            assert score is not None
            assert score.status == ("reference-unscorable" if expected is None else "ok")
            assert score.value == (None if expected is None else pytest.approx(expected, abs=1e-6))


def test_raw_by_hand() -> None:
    """P.862.1 maps 1.0 to 0.999 + 4 / (1 + exp(4.6607 - 1.4945))."""
    assert raw_from_lqo(0.999 + 4 / (1 + math.exp(4.6607 - 1.4945))) == pytest.approx(1.0)
    assert raw_from_lqo(2.999) == pytest.approx(4.6607 / 1.4945)  # the middle of the curve


@given(st.floats(-0.5, 4.5))
def test_raw_inverts_the_mapping(raw: float) -> None:
    assert raw_from_lqo(0.999 + 4 / (1 + math.exp(4.6607 - 1.4945 * raw))) == pytest.approx(raw, abs=1e-9)


@pytest.mark.parametrize("lqo", [-1.0, 0.999, 4.999, math.nan])
def test_raw_has_a_domain(lqo: float) -> None:
    with pytest.raises(ValueError, match="between"):
        raw_from_lqo(lqo)


def test_identity_and_gain(make_speech: Any) -> None:
    clean = make_speech(1, 1.0, 16_000)
    scores = pesq_scores(clean, 0.3 * clean)
    assert scores.nb is not None
    assert scores.wb is not None
    assert scores.nb.value == pytest.approx(4.549, abs=1e-3)
    assert scores.wb.value == pytest.approx(4.644, abs=1e-3)
    assert scores.raw == PesqScore(4.5, "ok")


def test_a_mode_that_is_not_asked_for_is_not_run(make_speech: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = answer(monkeypatch, {"nb": 2.0, "wb": 3.0})
    clean = make_speech(1, 0.5, 16_000)
    narrow = pesq_scores(clean, clean, wide_band=False)
    assert (modes, narrow.wb) == (["nb"], None)
    wide = pesq_scores(clean, clean, narrow_band=False)
    assert (modes, wide.nb, wide.raw) == (["nb", "wb"], None, None)


def test_failures_of_real_audio(make_speech: Any) -> None:
    clean = make_speech(2, 0.5, 16_000)
    broken = clean.copy()
    broken[0] = np.inf
    cases = {
        "too-short": (clean[:3999], clean[:3999]),
        "silent": (clean, np.zeros_like(clean)),
        "reference-unscorable": (np.zeros_like(clean), clean),
        "non-finite": (clean, broken),
        "metric-error": (clean, 1e-30 * clean),
    }
    for status, (reference, output) in cases.items():
        scores = pesq_scores(reference, output)
        for score in (scores.nb, scores.wb, scores.raw):
            assert score is not None
            assert (score.value, score.status) == (None, status)
    assert pesq_scores(broken, clean).raw == PesqScore(
        None, "reference-unscorable", "the reference has a NaN or an infinity"
    )
    assert pesq_scores(np.zeros(0), np.zeros(0)).nb == PesqScore(None, "too-short")
    shortest = pesq_scores(clean[:4000], clean[:4000]).nb
    assert shortest is not None
    assert shortest.status == "ok"


@pytest.mark.parametrize(
    ("value", "status", "detail"),
    [
        (-6, "too-short", ""),
        (-7, "reference-unscorable", "no utterance in the reference"),
        (-1, "metric-error", "returned -1"),
        (-3, "metric-error", "returned -3"),
        (math.nan, "metric-error", "not a number"),
        (math.inf, "metric-error", "returned inf"),
        (ValueError("cannot convert float NaN to integer"), "metric-error", "cannot convert"),
        (RuntimeError("unknown"), "metric-error", "RuntimeError: unknown"),
    ],
)
def test_codes_of_the_package(
    make_speech: Any, monkeypatch: pytest.MonkeyPatch, value: Any, status: str, detail: str
) -> None:
    answer(monkeypatch, {"nb": value, "wb": 2.0})
    scores = pesq_scores(make_speech(1, 0.5, 16_000), make_speech(2, 0.5, 16_000))
    assert scores.wb == PesqScore(2.0, "ok")
    for score in (scores.nb, scores.raw):
        assert score is not None
        assert (score.value, score.status) == (None, status)
        assert detail in score.detail


def test_an_output_without_speech_does_not_blame_the_reference(
    make_speech: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, other = make_speech(1, 0.5, 16_000), make_speech(2, 0.5, 16_000)

    def score(rate: int, x: Any, y: Any, mode: str, on_error: int) -> float:
        assert (rate, mode, on_error) == (16_000, "nb", 1)
        return 4.5 if np.array_equal(x, y) else -7

    install(monkeypatch, score)
    result = pesq_scores(clean, other, wide_band=False).nb
    assert result is not None
    assert result.status == "metric-error"


def test_raw_stays_in_its_bounds(make_speech: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = make_speech(1, 0.5, 16_000)
    for lqo, raw in ((0.999, -0.5), (1.0, -0.5), (4.5486393, 4.5), (4.999, 4.5)):
        answer(monkeypatch, {"nb": lqo})
        assert pesq_scores(clean, clean, wide_band=False).raw == PesqScore(raw, "ok")


def test_a_missing_package_is_named(make_speech: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pesq", None)
    clean = make_speech(1, 0.5, 16_000)
    with pytest.raises(PrerequisiteError, match="needs a C compiler"):
        pesq_scores(clean, clean)


@pytest.mark.parametrize("shapes", [((4000,), (4001,)), ((2, 4000), (2, 4000))])
def test_shapes_are_checked(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="one length"):
        pesq_scores(np.ones(shapes[0]), np.ones(shapes[1]))


def install(monkeypatch: pytest.MonkeyPatch, score: Any) -> None:
    package = SimpleNamespace(pesq=score, PesqError=SimpleNamespace(RETURN_VALUES=1))
    monkeypatch.setattr(pesq, "_package", lambda: package)


def answer(monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]) -> list[str]:
    """Let the package give fixed values; returns the list of modes that were run."""
    modes: list[str] = []

    def score(_rate: int, _x: Any, _y: Any, mode: str, on_error: int) -> float:
        assert on_error == 1
        modes.append(mode)
        value = values[mode]
        if isinstance(value, Exception):
            raise value
        return float(value)

    install(monkeypatch, score)
    return modes
