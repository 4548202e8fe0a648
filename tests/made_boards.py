"""Makes results of boards from the values of their items, without scoring anything."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench import leaderboard
from xmbench.formats.recipe import GateSpec, TrackSpec
from xmbench.formats.result import Environment, JudgeCard, Result, Score, Verified
from xmbench.formats.submission import Submission
from xmbench.leaderboard.ranking import Column
from xmbench.statistics import members, of_mean

Values = NDArray[np.float64]
Fields = dict[str, Any]
JUDGE = JudgeCard(
    name="digits",
    sha256="1" * 64,
    local=False,
    accuracy={"held-out voices": 0.99, "real recordings": 0.904},
    false_accepts={"other words": 0.031, "near-homophones": 0.12, "music": 0.0},
    calibration_error=0.021,
)
_MADE = {"xmbench": "0.1", "commit": "a" * 40, "machine": "a machine", "command": "xmbench score", "created": "today"}


def sha(text: str) -> str:
    """A digest that belongs to the text."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Made:
    """Results of one board, with the values of their items.

    Attributes:
        groups: N group names.
        primary: its metric.
        gates: of the track.
        higher: whether more of the primary metric is better.
        smallest: the smallest difference of the primary metric.
    """

    groups: tuple[str, ...]
    primary: str = "word-accuracy-agreed"
    gates: tuple[GateSpec, ...] = ()
    higher: bool = True
    smallest: float = 0.0
    track: str = "made-up/i2a"
    results: list[Result] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)

    def add(self, system: str, values: Values, *, verified: bool = True, seed: int = 0, **fields: Any) -> Result:
        """A run of a system with the primary metric's value (N,) of each item; `others` are scores of other metrics."""
        others = {name: np.asarray(other) for name, other in fields.pop("others", {}).items()}
        digest = sha(f"{self.track} {system} {seed} {verified}")
        made = {**_MADE, "python": "3.11", "packages": {"numpy": "2"}}
        submission = Submission(
            **{"track": self.track, "dataset_digest": "d" * 64, "system": system, "seed": seed, **fields}
        )
        scores = {self.primary: self._score(values, self.higher)}
        scores |= {name: self._score(other, True) for name, other in others.items()}
        result = Result(
            protocol="xmbench-protocol/2",
            track=self.track,
            regime="multi-take",
            split="test",
            primary=self.primary,
            track_spec=TrackSpec(
                direction="i2a" if self.track.endswith("i2a") else "a2i",
                metrics=tuple({**dict.fromkeys(scores), **dict.fromkeys(gate.metric for gate in self.gates)}),
                primary=self.primary,
                gates=self.gates,
            ),
            track_digest="2" * 64,
            data_digest="3" * 64,
            dataset_digest="d" * 64,
            outputs_digest=digest,
            submission=submission,
            scores=scores,
            judge=JUDGE,
            bootstrap={"resamples": 1000, "seed": 1},
            items_table="result.items.parquet",
            items_digest=digest,
            environment=Environment.model_validate(made),
            status="verified" if verified else "self-reported",
            verified=Verified.model_validate(_MADE) if verified else None,
        )
        self.results.append(result)
        self.columns[digest] = Column(tuple(f"{i:05d}" for i in range(len(values))), self.groups, np.asarray(values))
        return result

    def add_seeds(self, system: str, runs: list[Values], **fields: Any) -> None:
        """A system with several seeds."""
        for seed, values in enumerate(runs):
            self.add(system, values, seed=seed, **fields)

    def board(self) -> leaderboard.Board:
        """The only board of the results."""
        (board,) = leaderboard.boards(self.results, self.columns)
        return board

    def _score(self, values: Values, higher: bool) -> Score:
        found = of_mean([np.asarray(values, dtype=np.float64)], members(self.groups), low=-np.inf, high=np.inf)
        return Score(
            value=float(np.mean(values)),
            low=found.low,
            high=found.high,
            n=len(values),
            coverage=1.0,
            unit="",
            higher_is_better=higher,
            floor=0.0,
            metric_version="1",
            statuses={"ok": len(values)},
            depends_on="condition",
            groups=found.groups,
            method=found.method,
            smallest_difference=self.smallest,
        )


def full_board() -> leaderboard.Board:
    """A board as large as the largest: 20 rows, 24 metrics, learned systems of three seeds with all that they state."""
    rng = np.random.default_rng(0)
    made = Made(tuple(f"item-{i:03d}" for i in range(60)), smallest=0.005)

    def add(system: str, level: float, seed: int = 0, **fields: Any) -> None:
        others = {f"a-metric-{i:02d}-of-it": rng.normal(size=60) for i in range(23)}
        made.add(system, rng.normal(level, 0.1, 60), seed=seed, others=others, authors=("xmbench",), **fields)

    for number in range(10):
        fields: Fields = {
            "baseline": f"baseline-{number}",
            "preset": ("", "lite", "gen-only", "spectral", "balanced")[number % 5],
            "hardware": "x86_64 CPU, 2 cores",
            "threads": 1,
            "uses_judges": False,
            "training_seconds": 471.25,
            "parameters": 1_234_567,
            "head_accuracy": 0.98125,
            "command": f"xmbench run-baseline baseline-{number} --data data/mnist-ad-voices --preset spectral",
            "notes": tuple(
                f"Gap {i} of the paper, filled so that a reader can tell what we did and why." for i in range(8)
            ),
        }
        for seed in range(3):
            add(
                f"MT-Net with another loss, number {number} (our re-implementation)",
                0.5 + 0.02 * number,
                seed,
                **fields,
            )
    for number in range(3):
        add(f"Nearest image's stored clip, by features {number}", 0.9, kind="retrieval", head_accuracy=0.95)
    for number, kind in enumerate(("floor", "floor", "floor", "floor", "ceiling", "ceiling", "ceiling")):
        add(f"Griffin-Lim copy-synthesis of number {number}", 0.1, kind=kind, baseline=f"bound-{number}")
    return made.board()


def ranks(board: leaderboard.Board) -> dict[str, int | None]:
    """The rank of each system, in the order of the board."""
    return {row.name: row.rank for row in board.rows}


def why(board: leaderboard.Board) -> dict[str, str]:
    """Why systems have no rank."""
    return {row.name: row.unranked for row in board.rows if row.unranked}
