"""Result: what a submission scores, with everything needed to rebuild the numbers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xmbench.formats.limit import Limit
from xmbench.formats.model import Document, Part
from xmbench.formats.recipe import Name, Sha256, TrackSpec
from xmbench.formats.submission import Submission


class Score(Part):
    """One metric's value on the split.

    Attributes:
        value: penalised mean: a failed item counts as the metric's lower bound. None where nothing could be measured.
        low, high: 95 % interval; None where it cannot be estimated.
        n: items of the split.
        coverage: share of the items with their own value, 0..1.
        statuses: how many items have each status.
        left_out: statuses of items without a value that are excluded from the mean.
        whole_set: the metric scores all items together: every item counts, whatever its status, but for those that
            `left_out` names.
        depends_on: the side whose groups are the clusters of the interval; "" in results of protocol 1.
        groups: clusters among the items that count; None in results of protocol 1.
        method: how the interval was made; "none" where there are too few groups for one.
        smallest_difference: a smaller difference of two systems is never a rank.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    coverage: float
    unit: str
    higher_is_better: bool
    floor: float | None
    metric_version: str
    statuses: dict[str, int]
    left_out: tuple[str, ...] = ()
    whole_set: bool = False
    depends_on: Literal["", "condition", "reference"] = ""
    groups: int | None = None
    method: Literal["", "bootstrap", "cluster-t", "wilson", "none"] = ""
    smallest_difference: float = 0.0


class JudgeCard(Part):
    """The judge behind a classifier-based score, with its accuracy on real data, and its device.

    Scores are defined on the CPU; on another device the last digits differ.

    Attributes:
        false_accepts: kind of sound or image that is none of its classes -> share that it takes for one of them, 0..1.
        calibration_error: expected calibration error, 0..1, of the held-out test with the largest.
    """

    name: Name
    sha256: Sha256
    local: bool
    accuracy: dict[str, float]
    false_accepts: dict[str, float] = Field(default_factory=dict)
    calibration_error: float | None = None
    device: str = "cpu"


class Environment(Part):
    """Where a number was made."""

    xmbench: str
    commit: str
    python: str
    packages: dict[str, str]
    machine: str
    command: str
    created: str


class Verified(Part):
    """Who recomputed a result from its published outputs: the maintainers' `xmbench leaderboard verify`."""

    xmbench: str
    commit: str
    machine: str
    command: str
    created: str


class Result(Document):
    """Scores of one submission. `xmbench verify` recomputes them, so an edited number is found.

    Attributes:
        data_digest: of the recipe that the data set was built from; None in results of version 0.1 on an unknown one.
        track: its public name, like `mnist-ad/i2a`.
        track_spec: the track as it was when this was scored.
        verified: how the status "verified" came about; None otherwise.
        track_digest: of `track_spec` with the versions of the metrics that are scored here.
    """

    schema_: Literal["xmbench/result/3"] = Field(default="xmbench/result/3", alias="schema")
    protocol: str
    track: str
    regime: Literal["single-take", "multi-take"]
    split: str
    primary: Name
    limit: Limit = None
    track_spec: TrackSpec
    track_digest: Sha256
    data_digest: Sha256 | None
    dataset_digest: Sha256
    outputs_digest: Sha256
    submission: Submission
    scores: dict[Name, Score]
    judge: JudgeCard | None = None
    second_judge: JudgeCard | None = None
    bootstrap: dict[str, int]
    items_table: str
    items_digest: Sha256
    environment: Environment
    status: Literal["verified", "self-reported", "reported"] = "self-reported"
    verified: Verified | None = None

    @property
    def versions(self) -> dict[str, str]:
        """Of each metric that is scored."""
        return {name: score.metric_version for name, score in self.scores.items()}


class ReportedResult(Document):
    """Scores as printed in a paper: other data, a separate table, never ranked with ours."""

    schema_: Literal["xmbench/reported/1"] = Field(default="xmbench/reported/1", alias="schema")
    track: str = Field(pattern=r"^[a-z0-9-]+/(i2a|a2i)$")
    system: str
    scores: dict[Name, float]
    paper: str
    where: str
    data: str
    status: Literal["reported"] = "reported"
