"""What enters a mean, how sure it is, and what decides between two systems."""

from __future__ import annotations

from random import Random
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from xmbench import registry
from xmbench.evaluator import compare, scores
from xmbench.evaluator.clusters import Side, groups_of_sides, side_of
from xmbench.evaluator.scores import metric_scores
from xmbench.formats import tracks
from xmbench.formats.item_scores import mean_column
from xmbench.formats.recipe import PairingSpec
from xmbench.interfaces import Direction, ItemState, Metric, Status
from xmbench.metrics._mean import mean
from xmbench.statistics import (
    Interval,
    counted,
    exact_mean,
    holm,
    means,
    of_difference,
    of_mean,
    of_reduction,
    over_seeds,
)

FAILED: tuple[Status, ...] = ("missing", "unreadable", "silent", "too-short", "metric-error")
VALUE = st.floats(-1.0, 1.0)
ITEMS = st.lists(st.tuples(st.sampled_from(FAILED), st.none() | VALUE), min_size=1, max_size=12)


def states(items: list[tuple[Status, float | None]]) -> list[ItemState]:
    return [ItemState(status) if value is None else ItemState("ok", np.array([value]), "") for status, value in items]


@settings(max_examples=60, deadline=None)
@given(ITEMS, st.sampled_from(["stoi", "stoi-strict"]))
@example([("too-short", None)], "stoi-strict")
@example([("too-short", None), ("silent", None), ("missing", 0.5)], "stoi-strict")
def test_score_comparison_and_board_count_the_same_items(items: list[tuple[Status, float | None]], name: str) -> None:
    found = states(items)
    groups = [f"g{i}" for i in range(len(found))]
    score = metric_scores({name: found}, {"condition": groups, "reference": groups}, {})[name]
    values = [None if item.state is None else float(item.state[0]) for item in found]
    table = pa.table(
        {
            "id": groups,
            "group": groups,
            name: pa.array(values, pa.float64()),
            f"{name}:status": [str(item.status) for item in found],
        }
    )
    by_hand = [
        -1.0 if value is None else value  # the lowest STOI there is
        for value, item in zip(values, found, strict=True)
        if value is not None or name == "stoi" or item.status != "too-short"
    ]
    on_board, compared = mean_column(table, name, score), compare._column(name, score, table)
    assert on_board is not None
    assert int(on_board.counts.sum()) == len(by_hand)
    if not by_hand:
        assert score.value is None
        assert compared == "not paired: nothing could be measured"
        return
    assert not isinstance(compared, str)
    assert score.value == pytest.approx(np.mean(by_hand), abs=1e-12)
    np.testing.assert_array_equal(compared.values, on_board.values)
    np.testing.assert_array_equal(compared.counts, on_board.counts)
    assert on_board.makes_up(score.value)


def test_without_a_floor_only_measured_items_count() -> None:
    found = counted(np.array([0.5, 9.0]), np.array([True, False]), ["ok", "silent"], None, ())
    assert found.counts.tolist() == [True, False]
    assert found.mean == 0.5
    assert not counted(np.array([9.0]), np.array([False]), ["silent"], None, ()).makes_up(9.0)


def test_states_of_several_numbers_have_the_floor_in_each() -> None:
    found = counted(np.ones((2, 3)), np.array([False, True]), ["missing", "ok"], -1.0, {"too-short"})
    assert found.values.tolist() == [[-1.0] * 3, [1.0] * 3]
    assert found.counts.tolist() == [True, True]


def flat(count: int, groups: int) -> np.ndarray:
    """Each of `count` items' group."""
    return np.arange(count) % groups


def test_the_interval_of_independent_items_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 40)
    found = of_mean([values], flat(40, 40))
    known = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(known, abs=1e-12)
    assert (found.method, found.groups) == ("cluster-t", 40)


def test_the_interval_of_equal_groups_is_that_of_their_means() -> None:
    values = np.random.default_rng(0).normal(size=(10, 36)) + np.arange(10)[:, None]
    found = of_mean([values.ravel()], np.repeat(np.arange(10), 36))
    known = stats.t.interval(0.95, 9, values.mean(), stats.sem(values.mean(axis=1)))
    assert (found.low, found.high) == pytest.approx(known, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=12), st.floats(0.0, 1.0))
def test_unequal_groups_have_the_variance_and_degrees_of_the_matrix_form(sizes: list[int], correlation: float) -> None:
    """The closed sums against the covariance matrix of the groups' weighted deviations."""
    n = np.array(sizes, dtype=float)
    p = n / n.sum()
    v = correlation + (1.0 - correlation) / n
    centring = np.eye(len(n)) - p[None, :]
    covariance = np.diag(p) @ centring @ np.diag(v) @ centring.T @ np.diag(p)
    scale, degrees = means._satterthwaite(p, v)
    assert scale == pytest.approx(float(p**2 @ v) / np.trace(covariance))
    assert degrees == pytest.approx(max(1.0, np.trace(covariance) ** 2 / np.trace(covariance @ covariance)))


@pytest.mark.parametrize("groups", [1, 2, 3, 4])
def test_with_fewer_than_five_groups_there_is_no_interval(groups: int) -> None:
    values = np.random.default_rng(0).random(100)
    assert of_mean([values], flat(100, groups)) == Interval(None, None, "none", groups)
    assert of_mean([np.round(values)], flat(100, groups), low=0.0, high=1.0) == Interval(None, None, "none", groups)
    found = of_difference([values], [1 - values], flat(100, groups))
    assert (found.low, found.high, found.p) == (None, None, 1.0)
    by_bootstrap = of_reduction(lambda s, w: w @ s[:, 0], values[:, None], [str(i % groups) for i in range(100)])
    assert by_bootstrap == Interval(None, None, "none", groups)


def test_all_right_is_no_certainty() -> None:
    """360 of 360 was printed as [1, 1]."""
    found = of_mean([np.ones(360)], flat(360, 360), low=0.0, high=1.0)
    assert (found.low, found.high) == pytest.approx((1.0 / (1.0 + 1.959964**2 / 360), 1.0), abs=1e-6)
    assert found.method == "wilson"
    few = of_mean([np.ones(360)], flat(360, 10), low=0.0, high=1.0)
    assert few.low is not None
    assert 0.75 < few.low < 0.9  # ten voices say less than 360 people
    assert of_mean([np.zeros(360)], flat(360, 360), low=0.0, high=1.0).low == 0.0


@pytest.mark.parametrize("right", [0, 1, 30, 180, 359, 360])
def test_a_share_of_independent_items_has_the_interval_of_wilson(right: int) -> None:
    values = np.arange(360) < right
    found = of_mean([values.astype(float)], flat(360, 360), low=0.0, high=1.0)
    known = stats.binomtest(right, 360).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(5, 30), st.floats(0.0, 1.0), st.integers(1, 4))
def test_intervals_hold_their_score_and_stay_within_the_bounds(seed: int, groups: int, level: float, runs: int) -> None:
    rng = np.random.default_rng(seed)
    for made in (rng.random((runs, 60)) < level, np.clip(rng.normal(level, 0.3, (runs, 60)), 0.0, 1.0)):
        values = [row.astype(float) for row in made]
        found = of_mean(values, flat(60, groups), low=0.0, high=1.0)
        assert found.low is not None
        assert found.high is not None
        assert 0.0 <= found.low <= np.mean(values) + 1e-12
        assert np.mean(values) - 1e-12 <= found.high <= 1.0


def test_judge_metrics_have_the_groups_of_what_the_judge_looks_at() -> None:
    """By the reference's voice, the interval of a word accuracy was narrower than that of a coin."""
    rng = np.random.default_rng(4)
    items = [ItemState("ok", np.array([float(right), 1.0, 0.9])) for right in rng.random(400) < 0.9]
    voices, images = [f"voice-{i % 5}" for i in range(400)], [f"image-{i}" for i in range(400)]
    names = {"word-accuracy": items, "estoi": [ItemState("ok", np.array([v])) for v in rng.random(400)]}
    found = metric_scores(names, {"condition": images, "reference": voices}, {})
    word, estoi = found["word-accuracy"], found["estoi"]
    assert (word.depends_on, word.groups, word.method) == ("condition", 400, "wilson")
    assert (estoi.depends_on, estoi.groups, estoi.method) == ("reference", 5, "cluster-t")
    coin = stats.binomtest(round(400 * (word.value or 0)), 400).proportion_ci(method="wilson")
    assert (word.low, word.high) == pytest.approx((coin.low, coin.high))


@pytest.mark.parametrize(
    ("recipe", "direction", "condition", "reference"),
    [
        ("mnist-ad-voices", "i2a", "id", "group"),
        ("mnist-ad-voices", "a2i", "group", "id"),
        ("mnist-ad", "i2a", "group", "group"),
        ("mnist-ad", "a2i", "group", "group"),
        ("joint", "i2a", "group", "group"),
        ("joint", "a2i", "group", "group"),
    ],
)
def test_images_are_independent_and_clips_have_their_speaker(
    recipe: str, direction: Direction, condition: str, reference: str
) -> None:
    known = tracks.installed("mnist-ad-voices" if recipe == "joint" else recipe)
    assert known is not None
    if recipe == "joint":
        known = known.model_copy(update={"pairing": PairingSpec(method="joint", items="images")})
    columns = {"id": ["a", "b"], "group": ["x", "x"]}
    found = groups_of_sides(known, direction, columns["id"], columns["group"])
    assert found == {"condition": columns[condition], "reference": columns[reference]}


def test_a_distribution_has_the_groups_of_its_coarser_side() -> None:
    groups: dict[Side, list[str]] = {"condition": ["a", "b", "c"], "reference": ["x", "x", "x"]}
    assert side_of(registry.metric("frechet-distance"), groups) == "reference"
    assert (
        side_of(registry.metric("frechet-distance"), {"condition": ["x", "x"], "reference": ["a", "b"]}) == "condition"
    )
    assert side_of(registry.metric("word-accuracy"), groups) == "condition"


def test_three_seeds_widen_the_interval_and_two_say_nothing_of_seeds() -> None:
    rng = np.random.default_rng(0)
    items = rng.normal(size=360)
    runs = [items + level for level in (-0.3, 0.0, 0.3)]
    one, two, three = (of_mean(runs[:k], flat(360, 360)) for k in (1, 2, 3))
    widths = [(found.high or 0) - (found.low or 0) for found in (one, two, three)]
    assert widths[1] == pytest.approx(widths[0])
    item_part = stats.t.ppf(0.975, 359) * stats.sem(items)
    seed_part = stats.t.ppf(0.975, 2) * 0.3 / np.sqrt(3)
    assert widths[2] / 2 == pytest.approx(np.hypot(item_part, seed_part), rel=1e-6)


def test_a_p_value_is_that_at_which_the_interval_ends_at_zero() -> None:
    rng = np.random.default_rng(1)
    spread = over_seeds(rng.normal(size=(4, 60)) + rng.normal(size=(4, 1)), flat(60, 12))
    for tail in (1e-9, 1e-4, 0.01, 0.3):
        assert spread.p_value(spread.reach(tail)) == pytest.approx(2 * tail, rel=1e-6)
        assert spread.p_value(-spread.reach(tail)) == pytest.approx(2 * tail, rel=1e-6)
    assert (spread.p_value(0.0), spread.p_value(1e300)) == (1.0, pytest.approx(0.0))


def test_few_discordant_items_decide_nothing() -> None:
    """Five to nothing is what McNemar's exact test gives .0625; t alone gives .025."""
    a, b = np.ones(360), (np.arange(360) >= 5).astype(float)
    found = of_difference([a], [b], flat(360, 360))
    assert found.value == pytest.approx(5 / 360)
    assert found.p == pytest.approx(0.0625, abs=0.01)
    assert found.low is not None
    assert found.low < 0.0


def test_holm_is_between_no_adjustment_and_bonferroni() -> None:
    p = [0.001, 0.2, 0.04, 0.013]
    assert holm(p) == pytest.approx([0.004, 0.2, 0.08, 0.039])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50), st.randoms())
def test_a_mean_has_the_same_digits_in_every_order(values: list[float], random: Random) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    first, second = (mean(np.array(v)[:, None], np.ones((1, len(v))))[0] for v in (values, shuffled))
    assert first == second == exact_mean(np.array(values))


def test_a_plug_in_that_does_not_take_the_mean_has_a_bootstrap() -> None:
    class Largest:
        """The largest value of all items."""

        low, high, floor = 0.0, 1.0, 0.0

        def reduce(self, states: np.ndarray, weights: np.ndarray) -> np.ndarray:
            return np.asarray(np.max(np.where(weights > 0, states[:, 0], 0.0), axis=1))

    table = np.random.default_rng(0).random((50, 1))
    found = scores._interval(cast(Metric, Largest()), table, [str(i) for i in range(50)], None)
    assert found.method == "bootstrap"
    assert found.high == pytest.approx(table.max())
