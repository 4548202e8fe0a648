"""What a run depends on, and whether a directory may be used for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from xmbench.errors import DatasetError, DocumentError, OutputError, UnknownNameError, nearest
from xmbench.formats.baseline import Baseline, Expected
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import Document, Part, load_json, parse
from xmbench.interfaces import Direction, Model

RUN_FILE = "run.json"
DEFAULT_THREADS = 1  # on a CPU: then a seed gives the same weights on any number of cores
_BOUNDS = ("floor", "ceiling")


def submission_folder(baseline: Baseline, direction: Direction, shuffle: bool) -> str:
    """Name of a submission's directory: `submission`, or one per direction where a baseline has two."""
    own = [direction] if len(baseline.directions) > 1 else []
    return "-".join(["submission", *own, *(["shuffled"] if shuffle else [])])


class Generation(Part):
    """How the outputs of one submission were made.

    `clipped_samples` counts samples beyond 16-bit full scale, `head_accuracy` is the accuracy of the model's
    own classifier on the scored split (null where it has none): a diagnostic, not a score.
    """

    seconds: float
    items: int
    clipped_samples: int
    head_accuracy: float | None
    created: str


class Processor(Part):
    """The settings that every baseline has, beside those of its model.

    `threads` are PyTorch's on the processor, in training and generation. Sums are taken in another order with another
    number of them, and a training ends with other weights. None: one on a CPU, PyTorch's choice beside a GPU.
    """

    threads: int | None = Field(default=None, ge=1, le=1024, strict=True)


class PhaseRecord(Part):
    """One phase of a training: steps done and planned (a phase that stopped early did fewer), which weights are kept.

    `selected` is None until the phase is finished; `parameters` counts the weights of its network.
    """

    steps: int
    planned: int
    selected: int | None
    parameters: int = 0


class RunRecord(Document):
    """`run.json`. `settings` is everything that the outputs depend on; a run resumes only with the same.

    `threads` are those of the processor that the training used; None where they were not set. `training_seconds` are
    those of all pieces of a finished training, `unfinished_seconds` those of one that has to be resumed; of a piece
    that was killed they count up to its last checkpoint.
    """

    schema_: Literal["xmbench/run/1"] = Field(default="xmbench/run/1", alias="schema")
    baseline: str
    preset: str | None
    settings: dict[str, Any]
    command: str
    hardware: str
    threads: int | None = None
    versions: dict[str, str]
    training_seconds: float | None = None
    unfinished_seconds: float = 0.0
    phases: dict[str, PhaseRecord] = Field(default_factory=dict)
    generations: dict[str, Generation] = Field(default_factory=dict)


def resolve_config(baseline: Baseline, model: Model, preset: str | None, overrides: Mapping[str, Any]) -> Any:
    """The model's configuration: the TOML's, then the preset's, then the command line's; all checked.

    Raises:
        UnknownNameError: no such preset.
        DocumentError: an unknown key (the nearest is named) or a bad value.
    """
    if preset is not None and preset not in baseline.presets:
        raise UnknownNameError(f"{baseline.name} has no preset '{preset}'", expected=nearest(preset, baseline.presets))
    parse(_of_model(baseline.configured(preset, {}), model), model.Config, f"baseline {baseline.name}")
    where = "--set" if overrides else f"baseline {baseline.name}"
    return parse(_of_model(baseline.configured(preset, dict(overrides)), model), model.Config, where)


def _of_model(configured: dict[str, Any], model: Model) -> dict[str, Any]:
    """The settings that the model's own `Config` checks."""
    shared = Processor.model_fields.keys() - model.Config.model_fields.keys()
    return {key: value for key, value in configured.items() if key not in shared}


def resolve_threads(baseline: Baseline, preset: str | None, overrides: Mapping[str, Any]) -> int | None:
    """Threads of the processor as the configuration states them; None where it does not.

    Raises:
        DocumentError: not an integer from 1 on.
    """
    configured = baseline.configured(preset, dict(overrides))
    stated = {key: value for key, value in configured.items() if key in Processor.model_fields}
    where = "--set" if overrides.keys() & stated.keys() else f"baseline {baseline.name}"
    return parse(stated, Processor, where).threads


def require_track(baseline: Baseline, model: Model, dataset: Dataset) -> None:
    """Raises where the data set has no items, or no track, for one of the baseline's directions."""
    recipe = dataset.recipe
    if model.oracle and baseline.kind not in ("floor", "ceiling"):
        raise DocumentError(
            f"the model '{model.name}' sees labels or references of what it generates for",
            where=f"baseline {baseline.name}",
            expected='kind = "floor" or "ceiling"',
        )
    for direction in baseline.directions:
        if direction not in model.directions:
            raise UnknownNameError(
                f"the model '{model.name}' cannot generate in direction {direction}",
                expected=", ".join(model.directions),
            )
        track = dataset.track(direction)
        if track is None:
            raise DatasetError(
                f"the data set {recipe.name} has no track {recipe.track_id(direction)}",
                where=dataset.folder,
                expected=", ".join(recipe.track_id(track.direction) for track in dataset.tracks),
                todo="choose another baseline (xmbench list baselines) or another data set",
            )
        empty = [split for split in ("train", track.split) if dataset.count(split) == 0]
        if empty:
            raise DatasetError(f"the split '{empty[0]}' has no items", where=dataset.folder)


def depends_on_threads(baseline: Baseline, threads: int | None) -> bool:
    """Whether threads belong to a run's settings: bounds compute nothing with them, unless they are stated."""
    return threads is not None or baseline.kind not in _BOUNDS


def settings_of(
    baseline: Baseline, dataset: Dataset, config: Any, seed: int, threads: int | None = None
) -> dict[str, Any]:
    """Everything that the outputs depend on; `threads` as `resolve_threads` gives them."""
    counted = {"threads": threads or DEFAULT_THREADS} if depends_on_threads(baseline, threads) else {}
    return {
        "model": baseline.model,
        "direction": "+".join(baseline.directions),  # the key that runs of one direction have always had
        "seed": seed,
        "dataset_digest": dataset.digest,
        **counted,
        "config": config.model_dump(mode="json"),
    }


def digest_of(settings: Mapping[str, Any]) -> str:
    """sha256 of the settings' canonical JSON."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def claim(
    out: Path, baseline: Baseline, preset: str | None, settings: Mapping[str, Any], resume: bool
) -> RunRecord | None:
    """Checks that a run may use a directory; returns the record of the run that it continues.

    A run is never overwritten: a directory with a run needs `--resume` and the same settings.

    Raises:
        OutputError: the directory has other files, a run with other settings, or this run without `resume`.
    """
    try:
        found = sorted(entry.name for entry in out.iterdir())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"the directory cannot be read ({error.strerror})", where=out) from error
    if RUN_FILE not in found:
        if [name for name in found if not name.startswith(".")]:
            raise OutputError(
                "the directory has other files than those of a run", where=out, todo="choose another one with --out"
            )
        return None
    record = load_json(out / RUN_FILE, RunRecord)
    changed = _differences(record, baseline, preset, settings)
    if changed:
        raise OutputError(
            "the directory has a run with other settings",
            where=out,
            problems=changed,
            todo="choose another directory with --out, use the same settings, or remove the directory",
        )
    if not resume:
        state = "finished" if record.generations else "unfinished"
        raise OutputError(
            f"the directory has this run already, {state}",
            where=out,
            todo="use --resume to continue it (a finished one is not trained again, only its outputs are written "
            "again); for a new run, choose another --out or remove the directory",
        )
    return record


def _differences(record: RunRecord, baseline: Baseline, preset: str | None, settings: Mapping[str, Any]) -> list[str]:
    before = {"baseline": record.baseline, "preset": record.preset, **_flat(record.settings)}
    now = {"baseline": baseline.name, "preset": preset, **_flat(json.loads(json.dumps(settings)))}
    return [
        f"{key}: {before.get(key, 'unset')} there, {now.get(key, 'unset')} here"
        for key in sorted(before | now)
        if before.get(key) != now.get(key)
    ]


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {**{key: value for key, value in settings.items() if key != "config"}, **settings["config"]}


def expected(baseline: Baseline, track: str, preset: str | None) -> list[Expected]:
    """Scores that a run of a baseline must reach.

    Raises:
        DocumentError: the baseline states none for this track and preset.
    """
    wanted = [item for item in baseline.expected if (item.track, item.preset) == (track, preset or "")]
    if not wanted:
        raise DocumentError(
            f"{baseline.name} states no expected scores for {track}" + (f", preset {preset}" if preset else ""),
            expected="an [[expected]] table in its TOML file",
        )
    return wanted


def unmet(wanted: Sequence[Expected], scores: Mapping[str, float | None]) -> list[str]:
    """Expected scores that are not reached, one line each."""
    missed = []
    for item in wanted:
        score = scores.get(item.metric)
        if score is None or abs(score - item.value) > item.tolerance:
            missed.append(f"{item.metric}: {score}, expected {item.value} +- {item.tolerance}")
    return missed
