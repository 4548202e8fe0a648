"""Which judges a track is scored with: the frozen ones that the recipe names, or local ones fitted by the user.

A second judge of another architecture may be added, to show whether a score depends on the judge.

A frozen judge ships with the package or a plug-in; the recipe names its sha256, so two people who score the same
recipe use the same network. A local judge (`xmbench fit-judge`) is for recipes without one; its results say
so and are never ranked with others.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from xmbench.errors import OutputError, PrerequisiteError
from xmbench.evaluator.environment import numeric_environment
from xmbench.formats.dataset import Dataset
from xmbench.formats.recipe import JudgeSpec, TrackSpec
from xmbench.interfaces import SIDES, JudgeRole, JudgeWeights, Modality, ScoringContext
from xmbench.judges.records import WEIGHTS, LoadedJudge, read_judge, read_record, shipped
from xmbench.storage.cache import cache_folder

__all__ = ["LOCAL_FOLDER", "LoadedJudge", "judging_context", "load_judges"]

LOCAL_FOLDER = "judges"
_STAMPS_KEPT = 3


def load_judges(
    dataset: Dataset, track: TrackSpec, *, local: bool = False, device: str = "cpu"
) -> tuple[LoadedJudge | None, LoadedJudge | None]:
    """The judge of a track and its second judge; None where there is none.

    Args:
        dataset: its directory may hold local judges.
        track: names the frozen judges, if the recipe has them.
        local: prefer the local judges.
        device: where they compute: "cpu", which defines the scores, or "cuda".

    Raises:
        PrerequisiteError: an installed judge is not the one that the recipe names, or `local` is set and no judge
            was fitted.
    """
    folder = dataset.folder / LOCAL_FOLDER
    fitted = _fitted(folder, SIDES[track.direction].output) if local or track.judge is None else {}
    if local or (track.judge is None and "first" in fitted):
        if "first" not in fitted:
            raise PrerequisiteError(
                "no local judge for this direction",
                where=folder,
                todo=f"xmbench fit-judge {dataset.folder} --direction {track.direction}",
            )
        first = read_judge(fitted["first"], local=True, device=device)
        return first, read_judge(fitted["second"], local=True, device=device) if "second" in fitted else None
    return _frozen(track.judge, device), _frozen(track.second_judge, device)


def _fitted(folder: Path, wanted: Modality) -> dict[JudgeRole, Path]:
    """The records of the local judges of a modality by role; the first by name where there are several."""
    found: dict[JudgeRole, Path] = {}
    for weights in sorted(folder.glob(f"*{WEIGHTS}")):
        path = weights.with_suffix(".json")
        record = read_record(path)
        if record.modality == wanted:
            found.setdefault(record.role, path)
    return found


def judging_context(dataset: Dataset, first: LoadedJudge | None, second: LoadedJudge | None) -> ScoringContext:
    """What metrics with a judge get: the judges by role, and the directory that caches their reference embeddings."""
    judges: dict[JudgeRole, JudgeWeights] = {}
    if first is not None:
        judges["first"] = first.for_metrics
    if second is not None:
        judges["second"] = second.for_metrics
    return ScoringContext(dataset.recipe.task, judges, kept=_kept(dataset) if judges else None)


def _kept(dataset: Dataset) -> Path | None:
    """A directory of the cache named by the data set and by everything that could change a last digit here."""
    known = {"dataset": dataset.digest, **numeric_environment()}
    stamp = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
    try:
        folder = cache_folder() / "references" / dataset.digest / stamp
    except OutputError:  # without a cache directory everything is computed again
        return None
    _forget_old(folder)
    return folder


def _forget_old(folder: Path) -> None:
    """Removes what older versions and other machines cached for the same data set, except for the newest few."""
    try:
        found = sorted((path.stat().st_mtime_ns, path) for path in folder.parent.glob("*") if path != folder)
    except OSError:  # another process is removing them
        return
    for _, path in found[:-_STAMPS_KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def _frozen(spec: JudgeSpec | None, device: str) -> LoadedJudge | None:
    if spec is None:
        return None
    path = next((path for path in shipped() if path.stem == spec.name), None)
    if path is None:
        raise PrerequisiteError(
            f"the judge '{spec.name}' is not installed",
            expected="one that comes with xmbench or with a plug-in (entry point xmbench.judges)",
            todo="install xmbench again, or the package that the recipe comes from",
        )
    loaded = read_judge(path, device=device)
    if loaded.record.sha256 != spec.sha256:
        raise PrerequisiteError(
            f"the installed judge '{spec.name}' is not the one of this data set's recipe",
            where=path,
            expected=f"sha256 {spec.sha256}, found {loaded.record.sha256}",
            todo="install the version of xmbench that built the data set, or build it again with this one",
        )
    return loaded
