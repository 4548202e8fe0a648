"""Entries of boards: the runs of one system that differ in nothing but their seed stand together.

What makes two results runs of one system are facts of their submissions, never words in a name or a command.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
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
        """Names the per-item values of all runs: of one run, its table's digest."""
        digests = sorted(run.items_digest for run in self.runs)
        return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()

    @property
    def scores(self) -> dict[str, Score]:
        """Every metric over all runs; of one run, its own scores."""
        if len(self.runs) == 1:
            return self.result.scores
        names = dict.fromkeys(name for run in self.runs for name in run.scores)
        return {
            name: _over_seeds([run.scores[name] for run in self.runs if name in run.scores], self) for name in names
        }

    def spread(self, metric: str) -> tuple[float, float] | None:
        """The lowest and the highest value of the runs; None for one run, or where one of them has no value."""
        values = [score.value for run in self.runs if (score := run.scores.get(metric)) is not None]
        known = [value for value in values if value is not None]
        return (min(known), max(known)) if len(known) == len(self.runs) > 1 else None


def _over_seeds(scores: Sequence[Score], entry: Entry) -> Score:
    """The mean over the runs.

    Its interval over items is the mean of the runs' own ends. Under the same resamples of the items a mean of runs
    spreads no further than its runs do on average, so this is at least as wide as the interval of the mean.
    """
    first, count = scores[0], len(entry.runs)
    values, lows, highs = ([getattr(score, name) for score in scores] for name in ("value", "low", "high"))
    same = len(scores) == count and len({score.metric_version for score in scores}) == 1
    statuses: dict[str, int] = defaultdict(int)
    for score in scores:
        for status, found in score.statuses.items():
            statuses[status] += found
    changes = {
        "value": _mean(values) if same else None,
        "low": _mean(lows) if same else None,
        "high": _mean(highs) if same else None,
        "coverage": sum(score.coverage for score in scores) / len(scores),
        "statuses": dict(sorted(statuses.items())),
    }
    return first.model_copy(update=changes)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def board_key(result: Result) -> tuple[str, ...]:
    """What two results must share to stand on one board."""
    primary = result.scores.get(result.primary)
    version = primary.metric_version if primary else ""
    return result.track, result.dataset_digest, result.recipe_digest, result.protocol, result.primary, version


def system_key(result: Result) -> tuple[str, ...]:
    """What two results of one board must share to be runs of one system."""
    made = result.submission
    changed = json.dumps(made.changed, sort_keys=True)
    return made.system, made.kind, made.baseline, made.preset, changed, made.control, *made.authors


def entries(results: Sequence[Result]) -> list[Entry]:
    """Groups results by board and system.

    Runs are told apart by their seed: a result without one, or with a seed that is there already, is an entry of
    its own.
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
