"""Entries of boards: runs of one system that differ only in their seed make one entry.

Fields of the submissions decide whether two results are runs of one system, never the text of a name or a command.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from xmbench import registry
from xmbench.errors import UnknownNameError
from xmbench.formats.result import Result, Score
from xmbench.statistics import FEW_SEEDS, of_runs


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
        return {name: _over_seeds(name, [run.scores.get(name) for run in self.runs]) for name in names}

    @property
    def too_few_seeds(self) -> bool:
        """A trained system with fewer than three seeds: its intervals say nothing about how it varies with the seed."""
        return self.result.submission.kind == "learned" and len(self.runs) < FEW_SEEDS

    def degrees(self, metric: str) -> float | None:
        """Degrees of freedom of a metric's interval: the fewest of its groups' and seeds'; None if not known."""
        groups = min((score.groups or 0 for run in self.runs if (score := run.scores.get(metric))), default=0)
        seeds = [len(self.runs) - 1.0] if len(self.runs) >= FEW_SEEDS else []
        return min([groups - 1.0, *seeds]) if groups > 1 else None

    def spread(self, metric: str) -> tuple[float, float] | None:
        """The lowest and the highest value of the runs; None for one run, or if one of them has no value."""
        values = [score.value for run in self.runs if (score := run.scores.get(metric)) is not None]
        known = [value for value in values if value is not None]
        return (min(known), max(known)) if len(known) == len(self.runs) > 1 else None


def _over_seeds(name: str, scores: Sequence[Score | None]) -> Score:
    """The mean over the runs; no value if a run has none, or another version of the metric."""
    known = [score for score in scores if score is not None]
    same = len(known) == len(scores) and len({score.metric_version for score in known}) == 1
    statuses: Counter[str] = Counter()
    for score in known:
        statuses.update(score.statuses)
    value = _mean([score.value for score in known]) if same else None
    low, high = (None, None) if value is None else _ends(name, known)
    changes = {
        "value": value,
        "low": low,
        "high": high,
        "method": known[0].method if low is not None else "none",
        "coverage": sum(score.coverage for score in known) / len(known),
        "statuses": dict(sorted(statuses.items())),
    }
    return known[0].model_copy(update=changes)


def _ends(name: str, runs: Sequence[Score]) -> tuple[float | None, float | None]:
    """The interval of the mean over the runs; none if it cannot be estimated for one of them."""
    known = [(run.value, (run.low, run.high)) for run in runs if run.value is not None]
    ends = [(low, high) for _, (low, high) in known if low is not None and high is not None]
    if len(ends) < len(runs):
        return None, None
    lowest, highest = _bounds(name)
    return of_runs([value for value, _ in known], ends, low=lowest, high=highest)


def _bounds(name: str) -> tuple[float, float]:
    """Of a metric's values; none if it is a plug-in that is not installed."""
    try:
        metric = registry.metric(name)
    except UnknownNameError:
        return -math.inf, math.inf
    return metric.low, metric.high


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None


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
    entry.
    """
    found: dict[tuple[object, ...], list[Result]] = defaultdict(list)
    for result in results:
        key: tuple[object, ...] = (board_key(result), system_key(result))
        seed = result.submission.seed
        alone = seed is None or any(run.submission.seed == seed for run in found[key])
        found[(*key, len(found)) if alone else key].append(result)
    return [Entry(tuple(sorted(runs, key=_seed))) for runs in found.values() if runs]


def _seed(result: Result) -> int:
    return result.submission.seed or 0
