"""Which items of a track vary together: the groups of the conditions, and those of the references.

An interval tells how a score would vary with other conditions or other references, so its clusters are the groups of
the side that the score depends on. With the other side's groups it can be narrower than that of a coin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from xmbench.formats.recipe import Recipe
from xmbench.interfaces import SIDES, Direction, Metric, WholeSet, depends_on

Side = Literal["condition", "reference"]


def groups_of_sides(
    recipe: Recipe, direction: Direction, ids: Sequence[str], groups: Sequence[str]
) -> dict[Side, list[str]]:
    """The group of each item's condition and of its reference.

    In joint data both belong to one entry, and share its group. In single-take data every item is a group of its own.
    Else images and clips are paired by class: the data set's group is the clip's (its speaker), and each image is
    independent of all others.

    Args:
        recipe: of the data set.
        direction: of the track.
        ids: of the N items.
        groups: of the N items, the data set's column `group`.
    """
    if recipe.pairing.joint or recipe.regime == "single-take":
        return {"condition": list(groups), "reference": list(groups)}
    if SIDES[direction].condition == "audio":
        return {"condition": list(groups), "reference": list(ids)}
    return {"condition": list(ids), "reference": list(groups)}


def side_of(metric: Metric, groups: Mapping[Side, Sequence[str]]) -> Side:
    """The side whose groups are the clusters of a metric's interval.

    A distribution compares all outputs with all references: it depends on both sides, and the one with fewer groups
    decides.

    Args:
        metric: the metric.
        groups: of both sides, of the items that count.
    """
    if isinstance(metric, WholeSet) and len(set(groups["condition"])) != len(set(groups["reference"])):
        return "condition" if len(set(groups["condition"])) < len(set(groups["reference"])) else "reference"
    return depends_on(metric)
