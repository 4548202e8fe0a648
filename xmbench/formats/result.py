"""Result: what a submission scores, with everything needed to rebuild the numbers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from xmbench.formats.document import Document, Part
from xmbench.formats.recipe import Name, Sha256
from xmbench.formats.submission import Submission


class Score(Part):
    """One metric's value on the whole split.

    Attributes:
        value: penalised mean: a failed item counts the metric's floor. None where nothing could be measured.
        low, high: 95 % bootstrap interval.
        n: items of the split.
        coverage: share of the items with a value of their own, 0..1.
        statuses: how many items have each status.
        left_out: statuses of items without a value that leave the mean instead of counting the floor.
        whole_set: the metric looks at all items together: every item counts, whatever its status.
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


# What the metrics of the time left out, and which of them looked at all items together: results that were written
# before these were fields of a score.
_LEFT_OUT_THEN = {"stoi-strict": ("too-short",)}
_WHOLE_SETS_THEN = frozenset({"collapse", "diversity", "frechet-distance", "precision", "recall"})


class JudgeCard(Part):
    """The judge behind a classifier-based score, with its accuracy on real data, and where it computed.

    Scores are defined on the CPU; on another device last digits differ.
    """

    name: Name
    sha256: Sha256
    local: bool
    accuracy: dict[str, float]
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


class Result(Document):
    """Scores of one submission. `xmbench verify` recomputes it: an edited number does not survive."""

    schema_: Literal["xmbench/result/1"] = Field(default="xmbench/result/1", alias="schema")
    protocol: str
    track: str
    regime: Literal["single-take", "multi-take"]
    split: str
    primary: Name
    limit: int | None = None
    recipe_digest: Sha256
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

    @field_validator("scores", mode="before")
    @classmethod
    def _migrated(cls, scores: Any) -> Any:
        """Scores that were written before `left_out` and `whole_set` were fields get them."""
        if not isinstance(scores, dict):
            return scores
        return {name: _complete(name, score) for name, score in scores.items()}


def _complete(name: str, score: Any) -> Any:
    if not isinstance(score, dict) or "left_out" in score:
        return score
    return {**score, "left_out": _LEFT_OUT_THEN.get(name, ()), "whole_set": name in _WHOLE_SETS_THEN}


class ReportedResult(Document):
    """Scores as printed in a paper: other data, a table of their own, never ranked with ours."""

    schema_: Literal["xmbench/reported/1"] = Field(default="xmbench/reported/1", alias="schema")
    track: str = Field(pattern=r"^[a-z0-9-]+/(i2a|a2i)$")
    system: str
    scores: dict[Name, float]
    paper: str
    where: str
    data: str
    status: Literal["reported"] = "reported"
