"""Every row of a track that the tool makes: floors, ceilings, references; run, scored and added in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from xmbench import content, registry, runner
from xmbench.errors import UnsuitableDatasetError, XmbenchError
from xmbench.evaluator.save import score_and_save
from xmbench.execution.progress import silent
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml
from xmbench.leaderboard.admission import Added, add
from xmbench.leaderboard.admit import verified


def add_anchors(
    root: Path,
    dataset: Dataset,
    out: Path,
    *,
    replace: bool = False,
    mark: bool = False,
    workers: int = 1,
    command: str = "",
    progress: Callable[[str], None] = silent,
) -> Iterator[Added]:
    """Runs, scores and adds each baseline of this package that is not learned, for every track of a data set.

    Args:
        root: the directory of the leaderboards.
        dataset: what they are made for.
        out: directory of the runs, one directory for each baseline. A finished run is used again, and its outputs are
            compared with those of another run.
        replace: take the place of rows that have other outputs or scores.
        mark: as verified: they are made and scored here, which is what a verification would do once more.
        workers: processes that score.
        command: recorded in the results.
        progress: gets lines of progress.

    Raises:
        XmbenchError: as in `runner.run`, `score_and_save` and `add`; rows before it stay. A row that such data cannot
            have is left out, with a line of progress.
    """
    directions = [track.direction for track in dataset.tracks]
    for baseline in unlearned():
        if any(direction not in directions for direction in baseline.directions):
            continue
        folder = out / baseline.name
        progress(f"{baseline.name} on {dataset.recipe.name}")
        fresh = not (folder / runner.RUN_FILE).exists()
        try:
            done = runner.run(baseline, dataset, folder, device="cpu", resume=True, progress=silent)
        except UnsuitableDatasetError as error:  # a row that speaks, where people recorded the clips
            progress(f"  left out: {error.what}")
            continue
        for written in done.written:
            result = folder / f"{written.submission.name.replace('submission', 'result')}.json"
            # A mark says that this process measured everything.
            score_and_save(written.submission, dataset, result, workers=workers, command=command, resume=not mark)
            added = add(root, result, replace=replace, dataset=dataset, made_here=fresh)
            yield verified(added, command) if mark else added


def unlearned() -> Iterator[Baseline]:
    """The baselines of this installation that are no learned systems, by name."""
    for name in content.names("baselines"):
        if content.of_plug_in("baselines", name):
            continue
        baseline = load_toml(content.find("baselines", name), Baseline)
        if baseline.kind == "learned":
            continue
        try:
            registry.model(baseline.model)
        except XmbenchError:  # needs a package that is not installed
            continue
        yield baseline
