"""Gates: what a row needs, besides its primary score, to be ranked.

A judge can be fooled by sounds that no listener would take for speech, and a distance by what it does not look at. A
gate asks for a second metric at the level of a baseline that is not fooled: the row of that baseline on the same board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xmbench.formats.recipe import GateSpec
from xmbench.formats.result import Score
from xmbench.leaderboard.rows import Row


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate of a board, with its limit.

    Attributes:
        spec: as the track states it.
        limit: `share` times the nearer end of the baseline's interval; None if the board has no such row.
        system: name of the baseline's row.
        higher_is_better: of the metric.
    """

    spec: GateSpec
    limit: float | None = None
    system: str = ""
    higher_is_better: bool = True

    @property
    def missing(self) -> str:
        """Which row the board needs; "" if it has it."""
        return "" if self.limit is not None else f"the board has no verified row of {self.spec.baseline}"

    @property
    def text(self) -> str:
        """What a row needs, in words."""
        if self.limit is None:
            name = self.spec.baseline
            return (
                f"{self.spec.metric} at the level of {name}, and {self.missing}: nothing is ranked until it is added "
                "(xmbench leaderboard anchors DATA) and verified"
            )
        part = "" if self.spec.share == 1.0 else f"{self.spec.share:g} of "
        end = "lower" if self.higher_is_better else "upper"
        side = "at least" if self.higher_is_better else "at most"
        return f"{self.spec.metric} {side} {self.limit:.4f}: {part}the {end} end of “{self.system}”"

    def failure(self, row: Row) -> str:
        """Why a row does not pass; "" if it does, or if the gate has no limit."""
        if self.limit is None:
            return ""
        value = row.value(self.spec.metric)
        if value is None:
            return f"no value of {self.spec.metric}, which must be {self.text.removeprefix(f'{self.spec.metric} ')}"
        if value >= self.limit if self.higher_is_better else value <= self.limit:
            return ""
        return f"{self.spec.metric} is {value:.4f}, and must be {self.text.removeprefix(f'{self.spec.metric} ')}"


def gates_of(specs: Sequence[GateSpec], rows: Sequence[Row]) -> tuple[Gate, ...]:
    """The gates of a board, with the limits that its rows give.

    Args:
        specs: of its track.
        rows: of the board. Only a verified row of the baseline in its shipped configuration gives a limit.
    """
    return tuple(_gate(spec, rows) for spec in specs)


def _gate(spec: GateSpec, rows: Sequence[Row]) -> Gate:
    for row in rows:
        score = row.scores.get(spec.metric)
        if row.baseline == spec.baseline and score is not None and score.value is not None:
            return Gate(spec, spec.share * _nearer_end(score), row.name, score.higher_is_better)
    return Gate(spec)


def _nearer_end(score: Score) -> float:
    """The end of the interval towards worse values; the value where it has no interval."""
    end = score.low if score.higher_is_better else score.high
    assert score.value is not None  # asked by the only caller
    return score.value if end is None else end
