"""No one who evaluates, runs or ranks asks which direction it is: a table in `interfaces` says what one means."""

from __future__ import annotations

import ast

import pytest

from tests.conftest import ROOT
from xmbench.interfaces import SIDES

DIRECTIONS = {"i2a", "a2i"}
PARTS = ["evaluator", "runner", "views/report", "leaderboard", "formats/items.py", "metrics", "judges"]


def literals(text: str) -> list[int]:
    """Lines on which a direction stands as a value (docstrings and comments do not count)."""
    return [
        node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and node.value in DIRECTIONS
    ]


@pytest.mark.parametrize("part", PARTS)
def test_no_code_asks_for_the_direction(part: str) -> None:
    place = ROOT / "xmbench" / part
    files = [place] if place.suffix else sorted(place.rglob("*.py"))
    assert files
    found = [f"{path.relative_to(ROOT)}:{line}" for path in files for line in literals(path.read_text())]
    assert found == []


def test_the_check_sees_what_it_looks_for() -> None:
    assert literals('"""About i2a."""\nif direction == "i2a":\n    pass\n') == [2]


def test_the_two_directions_are_each_others_reverse() -> None:
    assert set(SIDES) == DIRECTIONS
    there, back = SIDES["i2a"], SIDES["a2i"]
    assert (there.condition, there.output) == (back.output, back.condition)
