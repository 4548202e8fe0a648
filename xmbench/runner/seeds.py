"""One baseline with several seeds, one after the other, a directory for each; finished ones are not run again.

::

    OUT/seed-0/submission         as `run` writes it with that seed
    OUT/seed-1/submission
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xmbench import registry
from xmbench.errors import DocumentError, OutputError
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.submission import SUBMISSION_FILE, Submission
from xmbench.runner.describe import hardware_of, require_precision
from xmbench.runner.output_tables import OutputForm
from xmbench.runner.pieces import limit_of, require_time
from xmbench.runner.presets import canonical
from xmbench.runner.run import RunSummary, Written, run
from xmbench.runner.settings import (
    RUN_FILE,
    RunRecord,
    claim,
    require_track,
    resolve_config,
    resolve_threads,
    settings_of,
    submission_folder,
)

MOST_SEEDS = 100
_SEED_END = 2**32  # the range that every random number generator accepts


def parse_seeds(text: str) -> tuple[int, ...]:
    """Reads `0,1,2`.

    Raises:
        DocumentError: not a list of different integers from 0 on, or too many of them.
    """
    parts = [part.strip() for part in text.split(",")]
    found = {part: int(part) for part in parts if re.fullmatch("[0-9]{1,10}", part) and int(part) < _SEED_END}
    problems = [f"{part[:40] or '(nothing)'}: not a seed" for part in parts if part not in found]
    known = [found[part] for part in parts if part in found]
    problems += [f"{seed}: more than once" for seed, count in Counter(known).items() if count > 1]
    if len(parts) > MOST_SEEDS:
        problems = [f"{len(parts):,} seeds"]
    if problems:
        raise DocumentError(
            "--seeds needs a list of different seeds",
            problems=problems,
            expected=f"like --seeds 0,1,2: integers below 2^32, at most {MOST_SEEDS} of them",
        )
    return tuple(known)


def run_seeds(
    baseline: Baseline,
    dataset: Dataset,
    out: Path,
    seeds: Sequence[int],
    *,
    preset: str | None = None,
    device: str = "auto",
    overrides: Mapping[str, Any] | None = None,
    form: OutputForm | None = None,
    resume: bool = False,
    shuffle_conditions: bool = False,
    time_limit_s: float | None = None,
    progress: Callable[[str], None] = print,
    status: Callable[[str], None] | None = None,
) -> list[RunSummary]:
    """Runs a baseline once for each seed, into `out/seed-<seed>`.

    Args:
        baseline: the row to run.
        dataset: where to train and generate.
        out: directory of the runs.
        seeds: in this order.
        preset: variant of the baseline, or several ("lite,gen-only").
        device: "auto", "cpu" or "cuda".
        overrides: settings instead of the baseline's, by name.
        form: of the files with the outputs, as in `run`; finished seeds keep theirs.
        resume: skip finished seeds, resume an unfinished one, run the rest.
        shuffle_conditions: the control: generate each item from another item's condition.
        time_limit_s: seconds for all of them together, as in `run`.
        progress: gets lines of progress.
        status: as in `run`.

    Raises:
        OutputError: the directory of a seed cannot be used; raised before any work.
        PrerequisiteError: no such device, or a precision that it does not have; raised before any work.
        UnfinishedError: the time limit has come; finished seeds are kept.
        XmbenchError: as in `run`; the submissions of earlier seeds are kept.
    """
    stop_at = limit_of(time_limit_s)
    model = registry.model(baseline.model)
    require_track(baseline, model, dataset)
    preset = canonical(baseline, preset)
    config = resolve_config(baseline, model, preset, dict(overrides or {}), dataset.recipe.name)
    threads = resolve_threads(baseline, preset, dict(overrides or {}), dataset.recipe.name)
    require_precision(hardware_of(device)[0], config)
    _require_own_directory(out)
    folders = {seed: out / f"seed-{seed}" for seed in seeds}
    found = {
        seed: claim(folder, baseline, preset, settings_of(baseline, dataset, config, seed, threads), resume)
        for seed, folder in folders.items()
    }
    summaries = []
    for number, seed in enumerate(seeds, 1):
        done = _finished(folders[seed], found[seed], baseline, shuffle_conditions)
        progress(f"seed {seed} ({number} of {len(seeds)}): {'already finished' if done else folders[seed]}")
        if not done:
            require_time(stop_at, out, f"seed {seed} has not begun")
        summaries.append(
            done
            or run(
                baseline,
                dataset,
                folders[seed],
                preset=preset,
                device=device,
                seed=seed,
                overrides=overrides,
                form=form,
                resume=resume,
                shuffle_conditions=shuffle_conditions,
                time_limit_s=None if stop_at is None else stop_at - time.monotonic(),
                progress=progress,
                status=status,
            )
        )
    return summaries


def _require_own_directory(out: Path) -> None:
    """Raises OutputError where a directory has other files than runs of seeds."""
    try:
        others = [entry.name for entry in out.iterdir() if not re.fullmatch(r"seed-[0-9]+|\..*", entry.name)]
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"the directory cannot be read ({error.strerror})", where=out) from error
    if others:
        what = "a run with one seed" if RUN_FILE in others else "other files"
        raise OutputError(
            f"the directory has {what}", where=out, todo="choose another directory for the seeds with --out"
        )


def _finished(folder: Path, record: RunRecord | None, baseline: Baseline, shuffle: bool) -> RunSummary | None:
    """The summary of an earlier run, if it wrote the outputs of every direction."""
    written = []
    for direction in baseline.directions:
        name = submission_folder(baseline, direction, shuffle)
        generation = record.generations.get(name) if record else None
        document = folder / name / SUBMISSION_FILE
        if generation is None or not document.is_file():
            return None
        made = load_json(document, Submission)
        written.append(Written(direction, folder / name, made.track, made.system, generation))
    return RunSummary(folder, (record.training_seconds if record else None) or 0.0, tuple(written))
