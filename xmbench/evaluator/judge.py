"""Which judge grades a track: the frozen one that the recipe names, or a local one fitted by the user.

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

from xmbench.errors import PrerequisiteError
from xmbench.formats.dataset import Dataset
from xmbench.formats.recipe import TrackSpec
from xmbench.formats.result import JudgeCard
from xmbench.interfaces import SIDES

LOCAL_FOLDER = "judges"


@dataclass(frozen=True, slots=True)
class LoadedJudge:
    """Weights (a safetensors file) and what is known of them."""

    weights: bytes
    card: JudgeCard


def load_judge(dataset: Dataset, track: TrackSpec, *, local: bool = False) -> LoadedJudge | None:
    """The judge of a track, or None where there is none at all.

    Args:
        dataset: its folder may hold local judges.
        track: names the frozen judge, if the recipe has one.
        local: prefer the local judge.

    Raises:
        PrerequisiteError: the installed judge is not the one that the recipe names, or `local` was asked
            for and no judge was fitted.
    """
    wanted = SIDES[track.direction].output
    found = sorted((dataset.folder / LOCAL_FOLDER).glob("*.safetensors"))
    fitted = [path for path in found if _card_of(path).get("modality", "audio") == wanted]
    if local or (track.judge is None and fitted):
        if not fitted:
            raise PrerequisiteError(
                "no local judge for this direction",
                where=dataset.folder / LOCAL_FOLDER,
                todo=f"xmbench fit-judge {dataset.folder} --direction {track.direction}",
            )
        return _read(fitted[0].stem, fitted[0].read_bytes(), _card_of(fitted[0]), local=True)
    if track.judge is None:
        return None
    shipped = Path(str(files("xmbench"))) / "judges" / "weights" / f"{track.judge.name}.safetensors"
    if not shipped.is_file():
        raise PrerequisiteError(
            f"the judge '{track.judge.name}' is not installed", where=shipped, todo="install xmbench again"
        )
    loaded = _read(track.judge.name, shipped.read_bytes(), _card_of(shipped), local=False)
    if loaded.card.sha256 != track.judge.sha256:
        raise PrerequisiteError(
            f"the installed judge '{track.judge.name}' is not the one of this data set's recipe", where=shipped,
            expected=f"sha256 {track.judge.sha256}, found {loaded.card.sha256}",
            todo="install the version of xmbench that built the data set, or build it again with this one",
        )  # fmt: skip
    return loaded


def _card_of(weights: Path) -> dict[str, Any]:
    path = weights.with_suffix(".json")
    known: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return known


def _read(name: str, weights: bytes, known: dict[str, Any], *, local: bool) -> LoadedJudge:
    accuracy = {key: float(value["accuracy"]) for key, value in known.get("accuracy", {}).items()}
    sha256 = hashlib.sha256(weights).hexdigest()
    return LoadedJudge(weights, JudgeCard(name=name, sha256=sha256, local=local, accuracy=accuracy))
