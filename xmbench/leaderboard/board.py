"""Results -> boards: which results can be compared, and the rank of each.

A board has results of one data set digest, protocol, version of the primary metric and pair of judges; results that
differ in any of these are on another board. If a track gets another metric, older rows stay, without a value for it.

Ranked are verified generators with three or more seeds, and, apart from them, verified systems that play or show stored
items; both must pass the track's gates. All pairs of a kind are compared item by item and judged together: systems that
the data do not separate share a rank. Lower and upper bounds and references have none, nor have self-reported rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from xmbench.formats import tracks
from xmbench.formats.limit import Limit, limit_order
from xmbench.formats.recipe import GateSpec, Recipe, TrackSpec
from xmbench.formats.result import JudgeCard, Result, Score
from xmbench.leaderboard.entries import board_key, entries
from xmbench.leaderboard.gates import Gate, gates_of
from xmbench.leaderboard.ranking import System, ranked
from xmbench.leaderboard.rows import RANKED, Columns, Row, columns_of, forbidden, in_order, rows_of, too_few_seeds
from xmbench.leaderboard.scale import NO_SCALE, Scale, scale_of
from xmbench.statistics import EQUAL

__all__ = ["RANKED", "Board", "Row", "board_key", "boards", "cell", "installed"]


@dataclass(frozen=True, slots=True)
class Board:
    """One track on one data set digest: rows block by block, from best to worst.

    Attributes:
        data_digest: of the recipe; None if all results are of version 0.1 on an unknown recipe.
        current: whether the installed recipe builds this data and names these judges; None if no recipe of that name
            is installed.
        scale: between which values scores are normalised.
        gates: what a row needs to be ranked.
    """

    track: str
    dataset_digest: str
    data_digest: str | None
    protocol: str
    primary: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    current: bool | None = True
    scale: Scale = NO_SCALE
    gates: tuple[Gate, ...] = ()

    @property
    def measure(self) -> Score:
        """A score of the primary metric: version, direction and smallest difference are the same for all rows."""
        return next(row.scores[self.primary] for row in self.rows)

    @property
    def version(self) -> str:
        """Of the primary metric."""
        return self.measure.metric_version

    @property
    def smallest_difference(self) -> float:
        """Of the primary metric, as verified rows say if there are any: a smaller difference is never a rank."""
        return _smallest_difference([row for row in self.rows if row.verified] or self.rows, self.primary)

    @property
    def groups(self) -> int | None:
        """Independent groups behind the primary scores; None where no result says so."""
        rows = [row for row in self.rows if row.verified] or self.rows
        return max((score.groups for row in rows if (score := row.scores[self.primary]).groups), default=None)

    @property
    def limit(self) -> Limit:
        """Items of the splits if the build was limited."""
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


def boards(results: Sequence[Result], columns: Columns | None = None, *, scored_here: bool = False) -> list[Board]:
    """Groups results and ranks each group by its primary metric.

    Args:
        results: in any order.
        columns: the primary metric of every item, by the digest of the result's per-item table. Without those of two
            systems their intervals are compared, which separates fewer of them.
        scored_here: the results were scored by this process: they are ranked whatever their status.

    Returns:
        Boards by track; those of an installed recipe first, complete data sets before limited ones.
    """
    grouped: dict[tuple[str, ...], list[Result]] = defaultdict(list)
    for result in results:
        grouped[board_key(result)].append(result)
    recipes = installed({result.track.split("/")[0] for result in results})
    found = []
    for group in grouped.values():
        rows = rows_of(entries(group), scored_here=scored_here)
        found.append(_board(rows, columns or {}, recipes.get(group[0].track.split("/")[0])))
    return sorted(found, key=lambda b: (b.track, b.current is False, limit_order(b.limit), b.dataset_digest))


def installed(names: set[str]) -> dict[str, Recipe]:
    """The recipes of these names that this installation has."""
    return {name: recipe for name in sorted(names) if (recipe := tracks.installed(name)) is not None}


def installed_track(result: Result, recipe: Recipe | None) -> TrackSpec | None:
    """The track of the installed recipe, if it builds the data of a result."""
    if recipe is None or recipe.data_digest != result.data_digest:
        return None
    return recipe.track(result.track_spec.direction)


def _is_current(result: Result, recipe: Recipe) -> bool:
    """Whether a result fits the installed recipe, except for metrics and gates that were added later."""
    track, own = installed_track(result, recipe), result.track_spec
    return track is not None and track == own.model_copy(update={"metrics": track.metrics, "gates": track.gates})


def _board(rows: Sequence[Row], columns: Columns, recipe: Recipe | None) -> Board:
    runs = [run for row in rows for run in row.runs]
    first, primary = runs[0], runs[0].primary
    scale, gates = scale_of(rows, primary), gates_of(_gate_specs(runs, recipe), rows)
    judged = [replace(row, unranked=_unranked(row, primary, gates)) for row in rows]
    known = [replace(row, normalised=scale.normalised(row.scores.get(primary))) for row in judged]
    return Board(
        first.track,
        first.dataset_digest,
        next((run.data_digest for run in runs if run.data_digest), None),
        first.protocol,
        primary,
        tuple(dict.fromkeys(name for row in rows for name in row.scores)),
        tuple(in_order(_ranked(known, primary, columns, scale), primary)),
        None if recipe is None else any(_is_current(run, recipe) for run in runs),
        scale,
        gates,
    )


def _gate_specs(runs: Sequence[Result], recipe: Recipe | None) -> list[GateSpec]:
    """The gates of the installed recipe; else every gate that a result of the board was scored under."""
    for run in runs:
        track = installed_track(run, recipe)
        if track is not None:
            return list(track.gates)
    return list(dict.fromkeys(gate for run in runs for gate in run.track_spec.gates))


def _unranked(row: Row, primary: str, gates: Sequence[Gate]) -> str:
    """Why a system gets no rank; "" if it gets one, or never has one."""
    if row.result.submission.kind not in RANKED:
        return ""
    if not row.verified:
        return "self-reported"
    if row.value(primary) is None:
        return f"no value of {primary}"
    reasons = [gate.missing for gate in gates] + [gate.failure(row) for gate in gates]
    return next(filter(None, (*reasons, forbidden(row), too_few_seeds(row))), "")


def _ranked(rows: Sequence[Row], primary: str, columns: Columns, scale: Scale) -> list[Row]:
    """The rows with ranks: generators among themselves, and systems with stored items among themselves."""
    found = [row for row in rows if row.result.submission.kind not in RANKED or row.unranked]
    for kind in RANKED:
        mine = [row for row in rows if row.result.submission.kind == kind and not row.unranked]
        if not mine:
            continue
        placed = ranked(
            [_system(str(i), row, primary, columns) for i, row in enumerate(mine)],
            higher_is_better=mine[0].scores[primary].higher_is_better,
            smallest_difference=max(EQUAL, _smallest_difference(mine, primary)),
            identity=scale.one,
        )
        for row, place in zip(mine, placed, strict=True):
            better = tuple(mine[int(name)].entry.digest for name in place.worse_than)
            found.append(replace(row, rank=place.rank, by=place.by, better=better, beyond_judge=place.beyond_judge))
    return found


def _system(name: str, row: Row, primary: str, columns: Columns) -> System:
    score = row.scores[primary]
    assert score.value is not None  # a row without a value is not ranked
    return System(name, score.value, score.low, score.high, columns_of(row.entry, columns), row.entry.degrees(primary))


def _smallest_difference(rows: Sequence[Row], primary: str) -> float:
    return max((row.scores[primary].smallest_difference for row in rows if primary in row.scores), default=0.0)


def cell(score: Score | None, *, interval: bool) -> str:
    """A score for a table: value, interval if wanted, coverage if it is not complete."""
    if score is None:
        return ""
    if score.value is None:
        return "–"
    text = f"{score.value:.4f}"
    if interval:
        text += f" {interval_text(score)}"
    if score.coverage < 1.0:
        text += f" ({score.coverage:.0%})"
    return text


def interval_text(score: Score) -> str:
    """The 95 % interval, or why there is none."""
    if score.low is not None and score.high is not None:
        return f"[{score.low:.4f}, {score.high:.4f}]"
    return "[not estimable]" if score.groups is None else f"[not estimable: {score.groups} groups]"
