"""Entries of boards: runs of one system that differ only in their seed make one entry.

Fields of the submissions decide whether two results are runs of one system, never the text of a name or a command.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from xmbench.formats.result import Result, Score


@dataclass(frozen=True, slots=True)
class Entry:
    """The runs of one system on one board, in the order of their seeds; most systems have one."""

    runs: tuple[Result, ...]

    @property
    def result(self) -> Result:
        """The first run: who, what and how are the same for all of them."""
        return self.runs[0]

    @property
    def digest(self) -> str:
        """Identifies the per-item values of all runs; for one run, its table's digest."""
        digests = sorted(run.items_digest for run in self.runs)
        return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()

    @property
    def scores(self) -> dict[str, Score]:
        """Every metric over all runs; for one run, its own scores."""
        if len(self.runs) == 1:
            return self.result.scores
        names = dict.fromkeys(name for run in self.runs for name in run.scores)
        return {name: _over_seeds([run.scores.get(name) for run in self.runs]) for name in names}

    def spread(self, metric: str) -> tuple[float, float] | None:
        """The lowest and the highest value of the runs; None for one run, or if one of them has no value."""
        values = [score.value for run in self.runs if (score := run.scores.get(metric)) is not None]
        known = [value for value in values if value is not None]
        return (min(known), max(known)) if len(known) == len(self.runs) > 1 else None


def _over_seeds(scores: Sequence[Score | None]) -> Score:
    """The mean over the runs; no value if a run has none, or another version of the metric.

    Its interval over items is the mean of the runs' own ends. The runs share the resamples of the items, and a mean
    of them varies at most as much as they do on average: the interval is at least as wide as that of the mean.
    """
    known = [score for score in scores if score is not None]
    same = len(known) == len(scores) and len({score.metric_version for score in known}) == 1
    statuses: Counter[str] = Counter()
    for score in known:
        statuses.update(score.statuses)
    changes = {
        "value": _mean([score.value for score in known]) if same else None,
        "low": _mean([score.low for score in known]) if same else None,
        "high": _mean([score.high for score in known]) if same else None,
        "coverage": sum(score.coverage for score in known) / len(known),
        "statuses": dict(sorted(statuses.items())),
    }
    return known[0].model_copy(update=changes)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def board_key(result: Result) -> tuple[str, ...]:
    """What two results must share to be on one board."""
    primary = result.scores.get(result.primary)
    version = primary.metric_version if primary else ""
    judges = (card.sha256 if card else "" for card in (result.judge, result.second_judge))
    return result.track, result.dataset_digest, result.protocol, result.primary, version, *judges


def system_key(result: Result) -> tuple[str, ...]:
    """What two results of a board must share to be runs of one system."""
    made = result.submission
    changed = json.dumps(made.changed, sort_keys=True)
    return made.system, made.kind, made.baseline, made.preset, changed, made.control, *made.authors


def entries(results: Sequence[Result]) -> list[Entry]:
    """Groups results by board and system.

    Runs are distinguished by their seed: a result without one, or with a seed that another one has, is a separate
    entry. So are verified and self-reported runs: nobody's claim changes the mean of verified ones.
    """
    found: dict[tuple[object, ...], list[Result]] = defaultdict(list)
    for result in results:
        key: tuple[object, ...] = (board_key(result), system_key(result), result.status)
        seed = result.submission.seed
        alone = seed is None or any(run.submission.seed == seed for run in found[key])
        found[(*key, len(found)) if alone else key].append(result)
    return [Entry(tuple(sorted(runs, key=_seed))) for runs in found.values() if runs]


def _seed(result: Result) -> int:
    return result.submission.seed or 0
