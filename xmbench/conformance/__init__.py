"""Conformance checks: the contract of every metric, and how close the speech metrics are to their references.

For `xmbench doctor`, for the package's own tests, and for the tests of plug-ins: ``check_metric(METRIC)``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from xmbench import registry
from xmbench.errors import CheckError, DocumentError
from xmbench.interfaces import (
    ROLES,
    AudioFormat,
    ImageFormat,
    ItemState,
    Metric,
    Pair,
    ScoringContext,
    Task,
    WholeSet,
    judges_of,
)
from xmbench.media import audio
from xmbench.media.signal import Picture, Sound
from xmbench.storage.files import read_bytes

FOLDER = Path(str(files("xmbench"))) / "conformance" / "vectors"
# Corr2D: the reference works with a filter bank rounded to single precision.
TOLERANCES = {"corr2d": 1e-3, "corr2d-linear": 1e-3}
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Vector:
    """Two clips (16 kHz, equal length) with the scores of other libraries: one value per metric, None for no value."""

    pair: Pair
    expected: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How close one metric is to its reference.

    Attributes:
        largest: largest |value - expected| over the vectors; infinite if only one of the two has a value.
        worst: id of the vector with that difference.
        vectors: how many were compared.
        tolerance: largest difference with which the metric matches.
        fault: why the vectors could not be measured, or "".
    """

    metric: str
    largest: float
    worst: str
    vectors: int
    tolerance: float
    fault: str = ""

    @property
    def holds(self) -> bool:
        """Whether it matches."""
        return not self.fault and self.largest <= self.tolerance

    def __str__(self) -> str:
        """`corr2d matches the reference to 3e-08 (8 pairs)`, or how it does not."""
        if self.fault:
            return f"{self.metric} could NOT be measured: {self.fault}"
        if self.holds:
            size = f"to {self.largest:.0e}" if self.largest else "exactly"
            return f"{self.metric} matches the reference {size} ({self.vectors} pairs)"
        what = "has a value where the reference has none, or none" if np.isinf(self.largest) else "is off by"
        size = "" if np.isinf(self.largest) else f" {self.largest:.3g}, {self.tolerance:.0e} allowed"
        return f"{self.metric} does NOT match the reference: {what}{size} at '{self.worst}'"


def speech_vectors() -> list[Vector]:
    """The vectors that ship with the package: spoken digits and degraded versions of them.

    Raises:
        DocumentError: the package is damaged.
    """
    vectors = []
    for row in _document()["pairs"]:
        reference, output = (_clip(row[side]) for side in ("reference", "output"))
        fitted = np.asarray(audio.fit_length(output, len(reference)), dtype=np.float32)
        pair = Pair(row["id"], 0, Sound(fitted, 16_000), Sound(reference, 16_000))
        vectors.append(Vector(pair, row["expected"]))
    return vectors


def references() -> dict[str, str]:
    """The libraries that computed the expected values, with their versions."""
    known: dict[str, str] = _document()["made_by"]
    return known


def agreements(metrics: Sequence[str] = ()) -> list[Agreement]:
    """Measures the vectors.

    Args:
        metrics: only these; empty for all with expected values.

    Raises:
        DocumentError: the package is damaged.
        UnknownNameError: no metric has that name.
    """
    vectors = speech_vectors()
    chosen = metrics or tuple(vectors[0].expected)
    return [_agreement(name, vectors) for name in chosen]


def _agreement(name: str, vectors: list[Vector]) -> Agreement:
    tolerance = TOLERANCES.get(name, TOLERANCE)
    metric = registry.metric(name)
    try:
        states = metric.prepare([v.pair for v in vectors], _context(vectors[0].pair))
    except Exception as error:  # a package is missing or broken: the other metrics are still measured
        fault = f"{type(error).__name__}: {error}".splitlines()[0]
        return Agreement(name, float("inf"), "", 0, tolerance, fault)
    gaps = [_gap(state, v.expected[name]) for state, v in zip(states, vectors, strict=True)]
    worst = int(np.argmax(gaps))
    return Agreement(name, gaps[worst], vectors[worst].pair.id, len(vectors), tolerance)


def _gap(state: ItemState, expected: float | None) -> float:
    if state.state is None or expected is None:
        return 0.0 if state.state is None and expected is None else float("inf")
    return abs(float(state.state[0]) - expected)


def check_metric(metric: Metric, pairs: Sequence[Pair] = (), context: ScoringContext | None = None) -> None:
    """Checks the contract of a metric (`xmbench.interfaces.Metric`).

    Args:
        metric: the plug-in's constant.
        pairs: inputs for the check, at least two; the package's spoken digits if empty.
        context: given to the metric; made from the first pair if left out.

    Raises:
        CheckError: it breaks the contract; every violation is listed.
    """
    pairs = list(pairs) or [v.pair for v in speech_vectors()]
    context = context or _context(pairs[0])
    problems = [f"'{name}' is missing" for name in _ATTRIBUTES if not hasattr(metric, name)]
    if not hasattr(metric, "judges") and not hasattr(metric, "needs_judge"):
        problems.append("'judges' is missing: the roles of the judges that it needs, () for none")
    if not problems:
        problems = [*_facts(metric), *_behaviour(metric, pairs, context)]
    if problems:
        name = getattr(metric, "name", type(metric).__name__)
        raise CheckError(f"the metric '{name}' breaks the contract of metrics", problems=problems)


_ATTRIBUTES = (
    "name",
    "version",
    "modality",
    "unit",
    "low",
    "high",
    "higher_is_better",
    "floor",
    "left_out",
    "citation",
    "prepare",
    "reduce",
)


def _facts(metric: Metric) -> list[str]:
    problems = [f"'{name}' is empty" for name in ("name", "version", "citation") if not getattr(metric, name)]
    unknown = sorted(set(judges_of(metric)) - set(ROLES))
    if unknown:
        problems.append(f"judges {', '.join(unknown)}: no such role")
    if not metric.low < metric.high:
        problems.append(f"bounds {metric.low} and {metric.high}")
    elif metric.floor is not None and not metric.low <= metric.floor <= metric.high:
        problems.append(f"the floor {metric.floor} is outside the bounds {metric.low} and {metric.high}")
    elif metric.floor not in (None, _worst(metric)):
        problems.append(f"the floor {metric.floor} is not the worst value {_worst(metric)}: it pays to leave items out")
    return problems


def _worst(metric: Metric) -> float:
    return metric.low if metric.higher_is_better else metric.high


def _behaviour(metric: Metric, pairs: Sequence[Pair], context: ScoringContext) -> list[str]:
    problems = []
    whole = isinstance(metric, WholeSet)  # its states are not values yet
    together = metric.prepare([_fresh(p) for p in pairs], context)
    if len(together) != len(pairs):
        return [f"{len(together)} states for {len(pairs)} pairs"]
    backwards = metric.prepare([_fresh(p) for p in reversed(pairs)], context)[::-1]
    for pair, one, other in zip(pairs, together, backwards, strict=True):
        if (one.status == "ok") != (one.state is not None):
            problems.append(f"'{pair.id}': status {one.status} {'without' if one.state is None else 'with'} a value")
        elif not _equal(one, other):
            problems.append(f"'{pair.id}': another state if the pairs are in another order")
        elif not whole and one.state is not None and metric.floor is not None and not _within(metric, one.state[0]):
            problems.append(f"'{pair.id}': {one.state[0]} is outside the bounds {metric.low} and {metric.high}")
    states = [state.state for state in together if state.state is not None]
    if states and not problems:
        table = np.stack(states)
        if isinstance(metric, WholeSet):
            table = metric.finish(table, np.ones(len(table), dtype=bool))
        scores = metric.reduce(table, np.ones((3, len(states))))
        if np.shape(scores) != (3,):
            problems.append(f"reduce gives shape {np.shape(scores)} for three samples, expected (3,)")
        elif not all(_within(metric, score) for score in scores):
            problems.append(f"a score of {scores[0]} is outside the bounds {metric.low} and {metric.high}")
    return problems


def _fresh(pair: Pair) -> Pair:
    return Pair(pair.id, pair.label, pair.output, pair.reference)


def _equal(a: ItemState, b: ItemState) -> bool:
    if a.state is None or b.state is None:
        return a.status == b.status
    return bool(np.allclose(a.state, b.state, rtol=1e-5, atol=1e-6))


def _within(metric: Metric, value: float) -> bool:
    return bool(np.isfinite(value)) and metric.low - 1e-9 <= value <= metric.high + 1e-9


def _context(pair: Pair) -> ScoringContext:
    known = pair.reference
    rate, samples = (known.sample_rate_hz, len(known.samples)) if isinstance(known, Sound) else (16_000, 16_000)
    picture = ImageFormat(*known.pixels.shape) if isinstance(known, Picture) else ImageFormat(1, 1, 1)
    return ScoringContext(Task(("0",), (), picture, AudioFormat(rate, samples, 0.0, samples / rate)))


def _document() -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(read_bytes(FOLDER / "pairs.json"))
    except ValueError as error:
        raise DocumentError(
            "the conformance vectors are damaged", where=FOLDER, todo="install xmbench again"
        ) from error
    return known


def _clip(name: str) -> Any:
    samples, _ = audio.decode(read_bytes(FOLDER / name))
    return samples[:, 0]
