"""Fits a judge of any kind on a user's data: the kind that fits, its options, the weights and their record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from xmbench import registry
from xmbench.errors import DatasetError, PrerequisiteError, UnknownNameError
from xmbench.formats.dataset import Dataset
from xmbench.formats.judge import Calibrated, FalseAccepts, StoredJudge, Tested
from xmbench.interfaces import FittableKind, JudgeKind, Modality
from xmbench.judges.loading import load
from xmbench.judges.records import WEIGHTS
from xmbench.storage.files import make_folder, write_bytes, write_text

Given = Mapping[str, Any]


def fittable() -> dict[str, FittableKind]:
    """The kinds of judges that can be fitted, by name."""
    kinds = {name: registry.judge(name) for name in registry.names("judges")}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, FittableKind)}


def kind_for(datasets: Sequence[Dataset], modality: Modality, name: str | None = None) -> str:
    """The name of the kind of judges that fits the items of the data sets.

    Args:
        datasets: all of them must fit.
        modality: of the items to be judged.
        name: this kind; None for the one that fits.

    Raises:
        UnknownNameError: no kind has that name.
        DatasetError: none fits, or several do; the kinds are listed with what each needs.
    """
    if name is not None:
        registry.judge(name)
    known = {each: registry.judge(each) for each in fittable() if name in (None, each)}
    for dataset in datasets:
        fitting = [each for each, kind in known.items() if _fits(kind, dataset, modality)]
        if not fitting:
            raise DatasetError(
                f"no kind of judge fits the {modality} of {dataset.recipe.name}: {_about(dataset, modality)}",
                where=dataset.folder,
                problems=[f"{each}: judges {kind.modality}; needs {kind.needs}" for each, kind in known.items()]
                or [f"{name}: judges of this kind cannot be fitted"],
                todo="install a package with a judge for such data (entry point xmbench.judges), or score with metrics "
                "that need no judge",
            )
        known = {each: kind for each, kind in known.items() if each in fitting}
    if len(known) > 1:
        raise DatasetError(
            f"several kinds of judges fit {datasets[0].recipe.name}", expected=", ".join(known), todo="choose: --kind"
        )
    return next(iter(known))


def _fits(kind: JudgeKind, dataset: Dataset, modality: Modality) -> bool:
    return kind.modality == modality and kind.fits(dataset.recipe.task)


def _about(dataset: Dataset, modality: Modality) -> str:
    """A short description of its items."""
    task = dataset.recipe.task
    classes = f"{len(task.class_names)} classes ({', '.join(task.class_names[:3])}, ...)"
    if modality == "image":
        return f"{task.image.height_px} x {task.image.width_px} pixels, {task.image.channels} channels, {classes}"
    return f"{task.audio.sample_rate_hz} Hz, {'spoken words' if task.words else 'no words'}, {classes}"


def checked_options(name: str, given: Given) -> Given:
    """The given options, by their snake_case names, if the kind has all of them.

    Raises:
        UnknownNameError: the kind does not have one of them.
        PrerequisiteError: one requires another that is not given.
    """
    known = {option.name.replace("-", "_"): option for option in fittable()[name].options}
    unknown = [f"--{key.replace('_', '-')}" for key in given if key not in known]
    if unknown:
        raise UnknownNameError(
            f"judges of the kind '{name}' have no option {', '.join(unknown)}",
            expected=", ".join(f"--{option.name}" for option in known.values()) or "only --seed and --steps",
        )
    for key in given:
        if known[key].needs and known[key].needs.replace("-", "_") not in given:
            raise PrerequisiteError(f"--{known[key].name} requires --{known[key].needs}")
    return given


def fit(
    datasets: Sequence[Dataset],
    out: Path,
    kind: str,
    *,
    name: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    command: str = "",
    options: Given | None = None,
    progress: Callable[[str], None] = print,
) -> StoredJudge:
    """Trains a judge and writes `<out>/<name>.safetensors` and `.json`.

    Args:
        datasets: their training items are used; the first defines the classes.
        out: directory.
        kind: of `kind_for`.
        name: of the files; None for the kind's own.
        seed: of the training.
        steps: of the training; None for the default of the kind.
        command: recorded in the record.
        options: of the kind, by their snake_case names.
        progress: called with a line of progress.

    Returns:
        The record, as written.

    Raises:
        XmbenchError: an option that the kind does not have, or data that do not fit it.
        OutputError: the directory cannot be written.
    """
    given = checked_options(kind, options or {})
    make_folder(out)
    done = fittable()[kind].fit(datasets, seed=seed, steps=steps, progress=progress, options=given)
    judge = load(done.weights, kind)
    record = StoredJudge(
        name=name or done.name,
        kind=kind,
        role=done.role,
        sha256=hashlib.sha256(done.weights).hexdigest(),
        bytes=len(done.weights),
        modality=judge.modality,
        sees=done.sees,
        classes=judge.class_names,
        embedding_size=judge.embedding_size,
        accuracy={test: Tested.model_validate(found) for test, found in done.accuracy.items()},
        false_accepts={kind: FalseAccepts.model_validate(found) for kind, found in done.false_accepts.items()},
        calibration={test: Calibrated.model_validate(found) for test, found in done.calibration.items()},
        voices=dict(done.voices),
        command=command,
        seed=seed,
        data={dataset.recipe.name: dataset.digest for dataset in datasets},
        versions={package: version(package) for package in ("xmbench", "numpy", *done.packages)},
        details=dict(done.details),
    )
    write_bytes(out / f"{record.name}{WEIGHTS}", done.weights)
    write_text(out / f"{record.name}.json", record.to_json())
    return record
