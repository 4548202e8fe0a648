"""Results -> boards: which results may stand together, and what rank each one has.

A board holds results of one data set digest, protocol, version of the primary metric and pair of judges: whatever
differs there is another board. A metric that a track got later leaves its older rows where they are, without a value.
Floors and ceilings stand on every board and carry no rank. Systems that the data do not separate share a rank: by a
paired bootstrap where the pair was compared, by overlapping 95 % intervals where it was not; each row says which.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from xmbench.formats import tracks
from xmbench.formats.recipe import Recipe, TrackSpec
from xmbench.formats.result import JudgeCard, Result, Score
from xmbench.leaderboard.pairs import Compared, Pairing
from xmbench.statistics import separates

RANKED = ("learned", "reference")
_ANCHORS = (("floor", "random-"), ("ceiling", "oracle-class"))  # kind, and how the baseline's name begins
_BASELINE = re.compile(r"\brun-baseline (\S+)")

Way = Literal["", "paired", "intervals"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a board.

    Attributes:
        rank: None for floors, ceilings and results without the primary metric.
        by: how it was compared with the first of the rank above or of its own; "" where nothing was compared.
        normalised: 0 at the random training item, 1 at the oracle's class; None where one of them is not on the board,
            or the oracle's class is no better there.
    """

    rank: int | None
    result: Result
    by: Way = ""
    normalised: float | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """One track on one data set digest: rows from best to worst.

    Attributes:
        data_digest: of the recipe; None where only results of version 0.1 on an unknown one are here.
        current: whether the installed recipe builds this data and names these judges; None where no recipe of that
            name is installed.
        floor, ceiling: values of the two rows between which scores are normalised.
    """

    track: str
    dataset_digest: str
    data_digest: str | None
    protocol: str
    primary: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    current: bool | None = True
    floor: float | None = None
    ceiling: float | None = None

    @property
    def version(self) -> str:
        """Of the primary metric."""
        return next(row.result.scores[self.primary].metric_version for row in self.rows)

    @property
    def limit(self) -> int | None:
        """Items per split of a part of a set."""
        return self.rows[0].result.limit

    @property
    def judges(self) -> list[tuple[str, JudgeCard]]:
        """The judges behind the scores: "judge", then "second judge"."""
        results = [row.result for row in self.rows]
        cards = {
            "judge": next((result.judge for result in results if result.judge), None),
            "second judge": next((result.second_judge for result in results if result.second_judge), None),
        }
        return [(what, card) for what, card in cards.items() if card is not None]


def board_key(result: Result) -> tuple[str, ...]:
    """What two results must share to stand on one board."""
    primary = result.scores.get(result.primary)
    version = primary.metric_version if primary else ""
    judges = (card.sha256 if card else "" for card in (result.judge, result.second_judge))
    return result.track, result.dataset_digest, result.protocol, result.primary, version, *judges


def boards(results: Sequence[Result], compared: Compared | None = None) -> list[Board]:
    """Groups results and ranks each group by its primary metric.

    Args:
        results: in any order.
        compared: paired differences by the digests of two per-item tables.

    Returns:
        Boards by track; those of an installed recipe first, whole data sets before parts.
    """
    grouped: dict[tuple[str, ...], list[Result]] = defaultdict(list)
    for result in results:
        grouped[board_key(result)].append(result)
    recipes = installed({result.track.split("/")[0] for result in results})
    found = [_board(group, compared or Compared(), recipes) for group in grouped.values()]
    return sorted(found, key=lambda b: (b.track, b.current is False, b.limit or float("inf"), b.dataset_digest))


def installed(names: set[str]) -> dict[str, Recipe]:
    """The recipes of these names that this installation has."""
    return {name: recipe for name in sorted(names) if (recipe := tracks.installed(name)) is not None}


def installed_track(result: Result, recipe: Recipe | None) -> TrackSpec | None:
    """The track of the installed recipe, if that builds the data that a result is about."""
    if recipe is None or recipe.data_digest != result.data_digest:
        return None
    return recipe.track(result.track_spec.direction)


def _is_current(result: Result, recipe: Recipe) -> bool:
    """Whether a result is what the installed recipe asks for, but for metrics that it got later."""
    track, own = installed_track(result, recipe), result.track_spec
    return track is not None and track == own.model_copy(update={"metrics": track.metrics})


def _board(results: list[Result], compared: Compared, recipes: dict[str, Recipe]) -> Board:
    first = results[0]
    primary, recipe = first.primary, recipes.get(first.track.split("/")[0])
    floor, ceiling = (_anchor(results, primary, kind, name) for kind, name in _ANCHORS)
    rows: list[Row] = []
    rank, position, best = 0, 0, None
    for result in sorted(results, key=lambda result: _sort_key(result, primary)):
        score = result.scores.get(primary)
        by: Way = ""
        known = _normalised(score, floor, ceiling)
        if result.submission.kind not in RANKED or score is None or score.value is None:
            rows.append(Row(None, result, by, known))
            continue
        position += 1
        tied = False
        if best is not None:
            tied, by = _tied(best, result, compared)
        if not tied:
            rank, best = position, result
        rows.append(Row(rank, result, by, known))
    return Board(
        first.track,
        first.dataset_digest,
        next((result.data_digest for result in results if result.data_digest), None),
        first.protocol,
        primary,
        tuple(dict.fromkeys(name for result in results for name in result.scores)),
        tuple(rows),
        None if recipe is None else any(_is_current(result, recipe) for result in results),
        floor,
        ceiling,
    )


def _anchor(results: Sequence[Result], primary: str, kind: str, name: str) -> float | None:
    """The value of a reference row, known by the baseline that made it."""
    for result in results:
        score = result.scores.get(primary)
        if result.submission.kind == kind and score is not None and baseline_of(result).startswith(name):
            return score.value
    return None


def baseline_of(result: Result) -> str:
    """The baseline that a command ran as it is shipped; "" for other systems, changed settings and controls."""
    command = result.submission.command
    found = _BASELINE.search(command)
    changed = "--set" in command or "--shuffle-conditions" in command
    return found.group(1) if found and not changed else ""


def _normalised(score: Score | None, floor: float | None, ceiling: float | None) -> float | None:
    if score is None or score.value is None or floor is None or ceiling is None:
        return None
    if floor == ceiling or (ceiling > floor) != score.higher_is_better:  # on such a scale better would be less
        return None
    return (score.value - floor) / (ceiling - floor)


def _sort_key(result: Result, primary: str) -> tuple[float, str]:
    score = result.scores.get(primary)
    if score is None or score.value is None:
        return float("inf"), result.submission.system
    return (-score.value if score.higher_is_better else score.value), result.submission.system


def _tied(best: Result, other: Result, compared: Compared) -> tuple[bool, Way]:
    """Whether the data separate two systems, and by what that was found."""
    pair = compared.between(best, other)
    if pair is not None:
        return not separated(pair, best), "paired"
    alone = best.bootstrap.get("clusters", 0) < 2  # its intervals have no width
    return alone or _overlap(best.scores[best.primary], other.scores[best.primary]), "intervals"


def separated(pair: Pairing, one: Result) -> bool:
    """Whether the data separate two systems of a board that were compared; `one` is either of them."""
    return separates(pair.low, pair.high, one.bootstrap.get("clusters", 0))


def _overlap(a: Score, b: Score) -> bool:
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.low <= b.high and b.low <= a.high


def cell(score: Score | None, *, interval: bool) -> str:
    """A score for a table: value, interval where wanted, coverage where it is not complete."""
    if score is None:
        return ""
    if score.value is None:
        return "–"
    text = f"{score.value:.4f}"
    if interval and score.low is not None and score.high is not None:
        text += f" [{score.low:.4f}, {score.high:.4f}]"
    if score.coverage < 1.0:
        text += f" ({score.coverage:.0%})"
    return text
