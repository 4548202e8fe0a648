"""The simulation behind the intervals: every kind that is printed is in it, and holds the true score often enough."""

from __future__ import annotations

import importlib.util
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "coverage.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cases(script: ModuleType) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for part in (script.means, script.shares, script.differences, script.seeds):
        for case in part(20):
            found[case.kind].append(case)
    return found


def test_every_case_has_an_interval_unless_there_are_two_groups(cases: dict[str, list[Any]]) -> None:
    assert set(cases) == {"mean", "share", "difference", "seeds"}
    for case in (case for own in cases.values() for case in own):
        assert (case.share is None) == ("2 groups" in case.name.replace("2000 groups", "")), case
        assert case.share is None or case.share >= 0.7, case


@pytest.mark.parametrize("kind", ["mean", "share", "difference"])
def test_intervals_hold_the_true_score(cases: dict[str, list[Any]], kind: str) -> None:
    assert np.mean([case.share for case in cases[kind] if case.share is not None]) > 0.93


def test_three_seeds_hold_the_score_of_other_seeds_and_one_does_not(cases: dict[str, list[Any]]) -> None:
    several = [case.share for case in cases["seeds"] if not case.name.startswith("1 seed")]
    assert np.mean(several) > 0.93
    alone = [case.share for case in cases["seeds"] if case.name.startswith("1 seed,") and "varying 1" in case.name]
    assert np.mean(alone) < 0.93


def test_a_distance_of_distributions_holds_its_value(script: ModuleType) -> None:
    rng = np.random.default_rng(0)
    member = np.arange(200) % 10
    truth = np.mean([script._one(script.distance, script.embeddings(rng, member, 0.5)) for _ in range(300)])
    held = 0
    for _ in range(20):
        states = script.embeddings(rng, member, 0.5)[:, :-1]
        found = script.of_reduction(script.distance, states, [str(g) for g in member], centred=True, low=0.0)
        held += found.low <= truth <= found.high
    assert held >= 16


def test_boards_of_equal_systems_have_one_rank(script: ModuleType) -> None:
    rng = np.random.default_rng(0)
    assert sum(script.board(rng, 10, 3, 1.0, 360, 1.0) for _ in range(10)) <= 2
    assert sum(script.board(rng, 2, 1, 0.0, 10, 0.9) for _ in range(40)) <= 6


def test_a_line_says_what_came_out(script: ModuleType) -> None:
    line = script.row(script.Case("mean", "5 groups", 2000, 0.951, 0.5))
    assert line == "| mean | 5 groups | 2,000 | 0.951 | 0.5000 |  |"
    assert script.Case("share", "", 10, 0.99, 0.1).verdict == "conservative"
    assert script.Case("share", "", 10, 0.91, 0.1).verdict == "below the goal"
    assert script.Case("share", "", 10, None).verdict == "not estimable"
    assert script.Case("separated", "", 10, 0.07).verdict == "above the goal"
