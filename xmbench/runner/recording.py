"""Expected scores of a baseline: measured with several seeds, written into its file, compared by `--verify`."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from xmbench.errors import CheckError, DocumentError, OutputError
from xmbench.formats.baseline import Baseline, Expected
from xmbench.formats.dataset import Dataset
from xmbench.formats.expected_text import with_expected
from xmbench.formats.limit import limit_argument
from xmbench.interfaces import Direction
from xmbench.runner.run import Written
from xmbench.storage.files import read_bytes, write_text

LEAST_SEEDS = 3
LEAST_TOLERANCE = 0.01
HEAD_ACCURACY = "head-accuracy"  # no metric: the accuracy of a model's own classifier, which needs no judge


def require_recordable(path: Path, seeds: Sequence[int] | None, changed: bool) -> None:
    """Checks, before any work, that expected scores can be recorded.

    Args:
        path: of the baseline's file.
        seeds: that will be run; None for a single run.
        changed: whether settings or conditions are not the baseline's own.

    Raises:
        DocumentError: too few seeds, or not the baseline's own settings.
        OutputError: the file cannot be written.
    """
    if seeds is None or len(seeds) < LEAST_SEEDS:
        raise DocumentError(
            f"expected scores of {1 if seeds is None else len(seeds)} seeds say nothing about the next one",
            expected=f"at least {LEAST_SEEDS} seeds: --seeds 0,1,2 --record",
        )
    if changed:
        raise DocumentError(
            "expected scores belong to a baseline as it is written",
            where=path,
            expected="--record without --set and --shuffle-conditions",
            todo="make the change a preset of the file",
        )
    if not os.access(path, os.W_OK):
        raise OutputError("the baseline's file cannot be written", where=path, todo="use a copy: ./mine.toml")


def metrics_to_record(baseline: Baseline, dataset: Dataset, direction: Direction, preset: str | None) -> list[str]:
    """The track's primary metric, and those that the baseline states expected scores for."""
    track = dataset.track(direction)
    assert track is not None
    name = dataset.recipe.track_id(direction)
    stated = [item.metric for item in baseline.expected if (item.track, item.preset) == (name, preset or "")]
    return [metric for metric in dict.fromkeys((track.primary, *stated)) if metric != HEAD_ACCURACY]


def diagnosed(written: Written, scores: Mapping[str, float | None]) -> dict[str, float | None]:
    """Scores of a submission, with the accuracy of the model's own classifier where it has one."""
    own = written.generation.head_accuracy
    return {**scores, **({} if own is None else {HEAD_ACCURACY: own})}


def expectations(
    dataset: Dataset, track: str, preset: str | None, scores: Mapping[int, Mapping[str, float | None]]
) -> list[Expected]:
    """What a rerun with any seed must reach: mean +- max(3 standard deviations, 0.01), to four digits.

    Args:
        dataset: that was scored on.
        track: its name.
        preset: of the baseline.
        scores: by seed and metric; at least two seeds.

    Raises:
        CheckError: a seed has no score in a metric that another one has.
    """
    metrics = list(dict.fromkeys(metric for found in scores.values() for metric in found))
    missing = [f"seed {seed}: {m}" for seed, found in scores.items() for m in metrics if found.get(m) is None]
    if missing:
        raise CheckError("expected scores are not recorded: some seeds have none", problems=missing)
    limit = dataset.manifest.limit
    size = f"a build with --limit {limit_argument(limit)}" if limit else "all test items"
    made = []
    for metric in metrics:
        values = [float(found[metric] or 0.0) for found in scores.values()]
        spread = max(3 * statistics.stdev(values), LEAST_TOLERANCE)
        made.append(
            Expected(
                track=track,
                preset=preset or "",
                metric=metric,
                value=round(statistics.fmean(values), 4),
                tolerance=math.ceil(round(spread * 1e4, 6)) / 1e4,
                note=f"seeds {', '.join(map(str, scores))}: {', '.join(f'{value:.4f}' for value in values)}; {size}",
            )
        )
    return made


def record(path: Path, expected: Sequence[Expected]) -> None:
    """Writes expected scores into a baseline's file; everything else in it stays as it is.

    Raises:
        DocumentError: the file cannot be edited line by line; the message has the tables.
        OutputError: the file cannot be written.
    """
    write_text(path, with_expected(read_bytes(path).decode(), expected))
