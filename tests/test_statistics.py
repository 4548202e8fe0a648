"""What enters a mean is decided once: a score, a comparison and a board count the same items."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xmbench.evaluator import compare
from xmbench.evaluator.scores import metric_scores
from xmbench.interfaces import ItemState, Status
from xmbench.leaderboard import pairs
from xmbench.statistics import counted

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
        0.0 if value is None else value
        for value, item in zip(values, found, strict=True)
        if value is not None or name == "stoi" or item.status != "too-short"
    ]
    on_board, compared = pairs.column(table, name, score), compare._column(name, score, table)
    assert on_board is not None
    assert int(on_board.kept.sum()) == len(by_hand)
    if not by_hand:
        assert score.value is None
        assert compared == "not paired: nothing could be measured"
        return
    assert not isinstance(compared, str)
    assert score.value == pytest.approx(np.mean(by_hand), abs=1e-12)
    np.testing.assert_array_equal(compared.values, on_board.values)
    np.testing.assert_array_equal(compared.counts, on_board.kept)
    assert on_board.counted.makes_up(score.value)


def test_without_a_floor_only_measured_items_count() -> None:
    found = counted(np.array([0.5, 9.0]), np.array([True, False]), ["ok", "silent"], None, ())
    assert found.counts.tolist() == [True, False]
    assert found.mean == 0.5
    assert not counted(np.array([9.0]), np.array([False]), ["silent"], None, ()).makes_up(9.0)


def test_states_of_several_numbers_have_the_floor_in_each() -> None:
    found = counted(np.ones((2, 3)), np.array([False, True]), ["missing", "ok"], -1.0, {"too-short"})
    assert found.values.tolist() == [[-1.0] * 3, [1.0] * 3]
    assert found.counts.tolist() == [True, True]
