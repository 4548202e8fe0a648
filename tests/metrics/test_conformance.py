"""The contract of every metric, built in or from a plug-in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmbench import registry
from xmbench.interfaces import AgainstClass, AudioFormat, ImageFormat, Pair, ScoringContext, Task
from xmbench.media.signal import Sound

SPEECH = [
    name
    for name in registry.names("metrics")
    if registry.metric(name).modality == "audio"
    and not registry.metric(name).judges
    and not isinstance(registry.metric(name), AgainstClass)
]
TASK = Task(("0", "1"), ("zero", "one"), ImageFormat(28, 28, 1), AudioFormat(22050, 18140, 0.3, 0.82))
CONTEXT = ScoringContext(TASK)


def voiced(seed: int, gain: float = 1.0) -> Sound:
    """Modulated harmonics with noise, 18,140 samples."""
    rng = np.random.default_rng(seed)
    t = np.arange(18140) / 22050
    pitch = rng.uniform(90, 220)
    voice = sum(rng.uniform(0, 1) * np.sin(2 * np.pi * pitch * k * t) for k in range(1, 16))
    shape = 0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(2, 6) * t)
    samples = gain * (0.05 * voice * shape + rng.normal(0, 0.002, len(t)))
    return Sound(samples.astype(np.float32), 22050)


@pytest.mark.parametrize("name", registry.names("metrics"))
def test_a_metric_says_what_it_is(name: str) -> None:
    metric = registry.metric(name)
    assert metric.name == name
    assert metric.version
    assert metric.citation
    assert metric.low < metric.high
    assert metric.floor is None or metric.low <= metric.floor <= metric.high
    assert metric.modality in ("audio", "image", "any")


@pytest.mark.parametrize("name", SPEECH)
def test_identity_is_the_best_bound_and_the_rest_is_worse(name: str) -> None:
    metric = registry.metric(name)
    reference = voiced(1)
    same, other = metric.prepare([Pair("a", 0, reference, voiced(1)), Pair("b", 0, voiced(2), reference)], CONTEXT)
    assert same.state is not None
    assert other.state is not None
    values = [metric.low, other.state[0], same.state[0], metric.high + 1e-9]
    if not metric.higher_is_better:
        values = [metric.low, same.state[0], other.state[0], metric.high]
    assert values[0] <= values[1] < values[2] <= values[3]


@pytest.mark.parametrize("name", SPEECH)
def test_a_silent_reference_has_a_status(name: str) -> None:
    silent = Sound(np.zeros(18140, dtype=np.float32), 22050)
    (state,) = registry.metric(name).prepare([Pair("a", 0, voiced(1), silent)], CONTEXT)
    assert state.status == "reference-unscorable"
    assert state.state is None


@pytest.mark.parametrize("name", SPEECH)
def test_pairs_do_not_influence_each_other(name: str) -> None:
    metric = registry.metric(name)
    pairs = [Pair(str(i), 0, voiced(i), voiced(i + 10)) for i in range(3)]
    together = metric.prepare(pairs, CONTEXT)
    alone = [metric.prepare([Pair(p.id, 0, p.output, p.reference)], CONTEXT)[0] for p in reversed(pairs)]
    for one, other in zip(together, reversed(alone), strict=True):
        assert one.state is not None
        assert other.state is not None
        np.testing.assert_array_equal(one.state, other.state)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 8.0), st.integers(0, 1000))
def test_gain_changes_neither_corr2d_nor_stoi(gain: float, seed: int) -> None:
    reference = voiced(seed)
    for name in ("corr2d", "corr2d-floored", "corr2d-linear", "stoi", "estoi"):
        metric = registry.metric(name)
        plain, louder = metric.prepare(
            [Pair("a", 0, voiced(seed + 1), reference), Pair("b", 0, voiced(seed + 1, gain), reference)], CONTEXT
        )
        assert plain.state is not None
        assert louder.state is not None
        assert louder.state[0] == pytest.approx(plain.state[0], abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.integers(0, 5))
def test_reduction_is_the_weighted_mean(values: list[float], seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 4, size=(3, len(values))).astype(np.float64)
    weights[:, 0] += 1
    for name in SPEECH:
        found = registry.metric(name).reduce(np.array(values)[:, None], weights)
        np.testing.assert_allclose(found, [np.average(values, weights=row) for row in weights], atol=1e-12)
