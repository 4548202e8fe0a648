"""Results -> boards: which results can be compared, and the rank of each.

A board has results of one data set digest, protocol, version of the primary metric and pair of judges; results that
differ in any of these are on another board. If a track gets another metric, older rows stay, without a value for it.
Lower and upper bounds (kinds floor and ceiling) are on every board and have no rank. A system has one row with all its
seeds, and is ranked by their mean. Systems that the data do not separate share a rank: by a paired bootstrap if the
pair was compared, else by overlapping 95 % intervals; each row says which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from xmbench import content
from xmbench.errors import UnknownNameError
from xmbench.formats import tracks
from xmbench.formats.baseline import Baseline
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe, TrackSpec
from xmbench.formats.result import JudgeCard, Result, Score
from xmbench.leaderboard.entries import Entry, board_key, entries
from xmbench.leaderboard.pairs import Compared, Pairing
from xmbench.statistics import separates

__all__ = ["RANKED", "Board", "Row", "Way", "board_key", "boards", "cell", "installed", "separated"]

RANKED = ("learned", "reference")

Way = Literal["", "paired", "intervals"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a board.

    Attributes:
        rank: None for lower and upper bounds and for results without the primary metric.
        entry: the system: one run, or several with different seeds.
        by: how it was compared with the first of the rank above or of its own; "" if it was not compared.
        normalised: 0 at the random training item, 1 at the oracle's class; None if one of them is not on the board, or
            the oracle's class is not better.
    """

    rank: int | None
    entry: Entry
    by: Way = ""
    normalised: float | None = None

    @property
    def result(self) -> Result:
        """The first run: who, what and how."""
        return self.entry.result

    @property
    def runs(self) -> tuple[Result, ...]:
        """One result for each seed."""
        return self.entry.runs

    @property
    def scores(self) -> Mapping[str, Score]:
        """The scores of the row: means over the seeds."""
        return self.entry.scores


@dataclass(frozen=True, slots=True)
class Board:
    """One track on one data set digest: rows from best to worst.

    Attributes:
        data_digest: of the recipe; None if all results are of version 0.1 on an unknown recipe.
        current: whether the installed recipe builds this data and names these judges; None if no recipe of that name
            is installed.
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
        return next(row.scores[self.primary].metric_version for row in self.rows)

    @property
    def limit(self) -> int | None:
        """Items per split if the build was limited."""
        return self.rows[0].result.limit

    @property
    def seeded(self) -> bool:
        """Whether some row has several seeds."""
        return any(len(row.runs) > 1 for row in self.rows)

    @property
    def judges(self) -> list[tuple[str, JudgeCard]]:
        """The judges of the scores: "judge", then "second judge"."""
        results = [row.result for row in self.rows]
        cards = {
            "judge": next((result.judge for result in results if result.judge), None),
            "second judge": next((result.second_judge for result in results if result.second_judge), None),
        }
        return [(what, card) for what, card in cards.items() if card is not None]


def boards(results: Sequence[Result], compared: Compared | None = None) -> list[Board]:
    """Groups results and ranks each group by its primary metric.

    Args:
        results: in any order.
        compared: paired differences by the digests of two per-item tables.

    Returns:
        Boards by track; those of an installed recipe first, complete data sets before limited ones.
    """
    grouped: dict[tuple[str, ...], list[Result]] = defaultdict(list)
    for result in results:
        grouped[board_key(result)].append(result)
    recipes = installed({result.track.split("/")[0] for result in results})
    anchors = anchoring({result.submission.baseline for result in results if result.submission.baseline})
    found = [_board(entries(group), compared or Compared(), recipes, anchors) for group in grouped.values()]
    return sorted(found, key=lambda b: (b.track, b.current is False, b.limit or float("inf"), b.dataset_digest))


def installed(names: set[str]) -> dict[str, Recipe]:
    """The recipes of these names that this installation has."""
    return {name: recipe for name in sorted(names) if (recipe := tracks.installed(name)) is not None}


def installed_track(result: Result, recipe: Recipe | None) -> TrackSpec | None:
    """The track of the installed recipe, if it builds the data of a result."""
    if recipe is None or recipe.data_digest != result.data_digest:
        return None
    return recipe.track(result.track_spec.direction)


def _is_current(result: Result, recipe: Recipe) -> bool:
    """Whether a result fits the installed recipe, except for metrics that were added later."""
    track, own = installed_track(result, recipe), result.track_spec
    return track is not None and track == own.model_copy(update={"metrics": track.metrics})


def anchoring(names: Collection[str]) -> dict[str, str]:
    """The baselines among these whose TOML makes them an end of the normalised scores, and which end."""
    found: dict[str, str] = {}
    for name in sorted(names):
        try:
            baseline = load_toml(content.find("baselines", name), Baseline)
        except UnknownNameError:
            continue
        if baseline.anchor:
            found[name] = baseline.anchor
    return found


def _board(
    found: Sequence[Entry], compared: Compared, recipes: Mapping[str, Recipe], anchors: Mapping[str, str]
) -> Board:
    first, runs = found[0].result, [run for entry in found for run in entry.runs]
    primary, recipe = first.primary, recipes.get(first.track.split("/")[0])
    floor, ceiling = (_anchor(found, primary, kind, anchors) for kind in ("floor", "ceiling"))
    rows: list[Row] = []
    rank, position, best = 0, 0, None
    for entry in sorted(found, key=lambda entry: _sort_key(entry, primary)):
        score = entry.scores.get(primary)
        by: Way = ""
        known = _normalised(score, floor, ceiling)
        if entry.result.submission.kind not in RANKED or score is None or score.value is None:
            rows.append(Row(None, entry, by, known))
            continue
        position += 1
        tied = False
        if best is not None:
            tied, by = _tied(best, entry, compared)
        if not tied:
            rank, best = position, entry
        rows.append(Row(rank, entry, by, known))
    return Board(
        first.track,
        first.dataset_digest,
        next((run.data_digest for run in runs if run.data_digest), None),
        first.protocol,
        primary,
        tuple(dict.fromkeys(name for entry in found for name in entry.scores)),
        tuple(rows),
        None if recipe is None else any(_is_current(run, recipe) for run in runs),
        floor,
        ceiling,
    )


def _anchor(found: Sequence[Entry], primary: str, kind: str, anchors: Mapping[str, str]) -> float | None:
    """The value of a row of that kind that the anchoring baseline made in its shipped configuration."""
    for entry in found:
        made, score = entry.result.submission, entry.scores.get(primary)
        shipped = not (made.preset or made.changed or made.control)
        if made.kind == kind == anchors.get(made.baseline) and shipped and score is not None:
            return score.value
    return None


def _normalised(score: Score | None, floor: float | None, ceiling: float | None) -> float | None:
    if score is None or score.value is None or floor is None or ceiling is None:
        return None
    if floor == ceiling or (ceiling > floor) != score.higher_is_better:  # better systems would score lower
        return None
    return (score.value - floor) / (ceiling - floor)


def _sort_key(entry: Entry, primary: str) -> tuple[float, str]:
    score = entry.scores.get(primary)
    if score is None or score.value is None:
        return float("inf"), entry.result.submission.system
    return (-score.value if score.higher_is_better else score.value), entry.result.submission.system


def _tied(best: Entry, other: Entry, compared: Compared) -> tuple[bool, Way]:
    """Whether two systems share a rank, and how that was decided."""
    pair = compared.between(best, other)
    if pair is not None:
        return not separated(pair, best.result), "paired"
    primary = best.result.primary
    alone = best.result.bootstrap.get("clusters", 0) < 2  # its intervals have no width
    return alone or _overlap(best.scores[primary], other.scores[primary]), "intervals"


def separated(pair: Pairing, one: Result) -> bool:
    """Whether the data separate two systems of a board that were compared; `one` is either of them."""
    return separates(pair.low, pair.high, one.bootstrap.get("clusters", 0))


def _overlap(a: Score, b: Score) -> bool:
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return False
    return a.low <= b.high and b.low <= a.high


def cell(score: Score | None, *, interval: bool) -> str:
    """A score for a table: value, interval if wanted, coverage if it is not complete."""
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
