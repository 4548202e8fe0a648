"""Which judge grades a track: the frozen one that the recipe names, or a local one fitted by the user.

A second judge of another architecture may stand beside the first, to show whether a score depends on the judge.

A frozen judge ships with the package; its sha256 stands in the recipe, so two people who score the same
recipe are graded by the same network. A local judge (`xmbench fit-judge`) serves recipes without one; its
results say so and are never ranked with others.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xmbench.errors import PrerequisiteError
from xmbench.formats.dataset import Dataset
from xmbench.formats.recipe import JudgeSpec, TrackSpec
from xmbench.formats.result import JudgeCard
from xmbench.interfaces import SIDES

LOCAL_FOLDER = "judges"
SECOND = "-second"  # as `fit-judge` ends the name of a second judge's files


@dataclass(frozen=True, slots=True)
class LoadedJudge:
    """Weights (a safetensors file) and what is known of them."""

    weights: bytes
    card: JudgeCard


def load_judges(
    dataset: Dataset, track: TrackSpec, *, local: bool = False
) -> tuple[LoadedJudge | None, LoadedJudge | None]:
    """The judge of a track and its second judge; None where there is none.

    Args:
        dataset: its folder may hold local judges.
        track: names the frozen judges, if the recipe has them.
        local: prefer the local judges.

    Raises:
        PrerequisiteError: an installed judge is not the one that the recipe names, or `local` was asked
            for and no judge was fitted.
    """
    wanted = SIDES[track.direction].output
    found = sorted((dataset.folder / LOCAL_FOLDER).glob("*.safetensors"))
    fitted = [path for path in found if _card_of(path).get("modality", "audio") == wanted]
    first = [path for path in fitted if not path.stem.endswith(SECOND)]
    if local or (track.judge is None and first):
        if not first:
            raise PrerequisiteError(
                "no local judge for this direction",
                where=dataset.folder / LOCAL_FOLDER,
                todo=f"xmbench fit-judge {dataset.folder} --direction {track.direction}",
            )
        second = [path for path in fitted if path.stem.endswith(SECOND)]
        return _fitted(first[0]), _fitted(second[0]) if second else None
    return _frozen(track.judge), _frozen(track.second_judge)


def _fitted(path: Path) -> LoadedJudge:
    return _read(path.stem, path.read_bytes(), _card_of(path), local=True)


def _frozen(spec: JudgeSpec | None) -> LoadedJudge | None:
    if spec is None:
        return None
    folder = Path(str(files("xmbench"))) / "judges"
    shipped = next(folder.glob(f"*/weights/{spec.name}.safetensors"), None)
    if shipped is None:
        raise PrerequisiteError(f"the judge '{spec.name}' is not installed", where=folder, todo="install xmbench again")
    loaded = _read(spec.name, shipped.read_bytes(), _card_of(shipped), local=False)
    if loaded.card.sha256 != spec.sha256:
        raise PrerequisiteError(
            f"the installed judge '{spec.name}' is not the one of this data set's recipe",
            where=shipped,
            expected=f"sha256 {spec.sha256}, found {loaded.card.sha256}",
            todo="install the version of xmbench that built the data set, or build it again with this one",
        )
    return loaded


def _card_of(weights: Path) -> dict[str, Any]:
    path = weights.with_suffix(".json")
    if not path.is_file():
        return {}
    try:
        known: dict[str, Any] = json.loads(path.read_text())
        {name: float(found["accuracy"]) for name, found in known.get("accuracy", {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PrerequisiteError(
            "the judge's card cannot be read",
            where=path,
            expected="the JSON file that `xmbench fit-judge` wrote",
            todo="fit the judge again, or remove both of its files",
        ) from error
    return known


def _read(name: str, weights: bytes, known: dict[str, Any], *, local: bool) -> LoadedJudge:
    accuracy = {key: float(value["accuracy"]) for key, value in known.get("accuracy", {}).items()}
    sha256 = hashlib.sha256(weights).hexdigest()
    try:
        return LoadedJudge(weights, JudgeCard(name=name, sha256=sha256, local=local, accuracy=accuracy))
    except ValidationError as error:
        raise PrerequisiteError(
            f"{name!r} is no name for a judge",
            expected="lower-case letters, digits and single hyphens",
            todo="rename both of its files, or fit it again with another --name",
        ) from error
