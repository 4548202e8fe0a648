"""The bootstrap: right on a case with a known answer, paired, clustered, seeded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmbench.statistics import of_reduction, resampled_weights


def mean(states: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(weights @ states[:, 0] / weights.sum(axis=1))


def interval(states: np.ndarray, groups: list[str], seed: int = 1) -> tuple[float, float]:
    found = of_reduction(mean, states, groups, seed=seed)
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(400, 1))
    low, high = interval(values, [str(i) for i in range(400)])
    half = 1.96 * values.std() / 20.0
    assert low == pytest.approx(values.mean() - half, abs=0.05)
    assert high == pytest.approx(values.mean() + half, abs=0.05)


def test_clusters_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    values = np.repeat(rng.normal(size=20), 20)[:, None]
    alone = interval(values, [str(i) for i in range(400)])
    together = interval(values, [str(i // 20) for i in range(400)])
    assert together[1] - together[0] > 3 * (alone[1] - alone[0])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30))
def test_items_of_a_group_are_drawn_together_and_every_draw_has_all_groups_worth(groups: list[str]) -> None:
    weights = np.concatenate(list(resampled_weights(groups, resamples=60)))
    assert weights.shape == (60, len(groups))
    for name in set(groups):
        members = [i for i, group in enumerate(groups) if group == name]
        assert (weights[:, members] == weights[:, members[:1]]).all()
    firsts = [groups.index(name) for name in set(groups)]
    assert (weights[:, firsts].sum(axis=1) == len(set(groups))).all()


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.arange(10.0)[:, None]
    names = [str(i) for i in range(10)]
    assert interval(values, names) == interval(values, names)
    assert interval(values, names) != interval(values, names, seed=2)
