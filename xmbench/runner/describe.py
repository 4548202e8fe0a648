"""What the documents of a run say: its name, its command, its machine and versions."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from xmbench import registry
from xmbench.formats.baseline import Baseline, names_of
from xmbench.formats.dataset import Dataset
from xmbench.formats.submission import Submission, TrainingData
from xmbench.interfaces import CountsParameters, Direction, Generator, StatesTrainingData
from xmbench.runner.settings import RunRecord

PACKAGES = ("torch", "numpy", "pyarrow", "timm")


def submission_of(
    baseline: Baseline,
    dataset: Dataset,
    record: RunRecord,
    changes: Mapping[str, Any],
    shuffle: bool,
    direction: Direction,
) -> Submission:
    """The document that goes with the outputs."""
    preset, seed = record.preset, int(record.settings["seed"])
    return Submission(
        track=dataset.recipe.track_id(direction),
        dataset_digest=dataset.digest,
        data_digest=dataset.manifest.data_digest,
        system=system_name(baseline, preset, changes, shuffle),
        kind="floor" if shuffle else baseline.kind,
        baseline=baseline.name,
        preset=preset or "",
        changed=dict(changes),
        control="shuffled-conditions" if shuffle else "",
        authors=("xmbench",),
        training_data=training_data_of(baseline, record),
        seed=seed,
        hardware=record.hardware,
        threads=record.threads,
        training_seconds=record.training_seconds,
        uses_judges=None if registry.of_plug_in("baselines", baseline.model) else False,  # a third party knows its own
        licence=baseline.licence,
        created=now(),
        command=command_of(baseline, dataset, preset, seed, changes, shuffle),
        notes=deviations(baseline, preset),
    )


def training_data_of(baseline: Baseline, record: RunRecord) -> TrainingData:
    """What the baseline states, or "open" where its settings bring knowledge from other data."""
    config = registry.model(baseline.model).Config(**record.settings.get("config", {}))
    by_settings = isinstance(config, StatesTrainingData) and config.training_data == "open"
    return "open" if by_settings else baseline.training_data


def system_name(baseline: Baseline, preset: str | None, overrides: Mapping[str, Any], shuffle: bool = False) -> str:
    """Title of a row; it always names the presets, changed settings and shuffled conditions."""
    title = baseline.title
    for number, part in enumerate(baseline.chosen(preset)):
        # "MT-Net lite" and "MT-Net, L_gen only" -> "MT-Net lite, L_gen only"
        added = part.title.removeprefix(baseline.title)
        title = part.title if number == 0 else title + (added if added != part.title else f", {part.title}")
    unnamed = [name for name in names_of(preset) if name not in title.lower()]
    title += f" [{', '.join(unnamed)}]" if unnamed else ""
    if overrides:
        title += f" [{', '.join(f'{key}={_toml(value)}' for key, value in sorted(overrides.items()))}]"
    return title + (" [conditions shuffled]" if shuffle else "")


def deviations(baseline: Baseline, preset: str | None) -> tuple[str, ...]:
    """How this row departs from its paper, the presets' own departures included."""
    return baseline.deviations + tuple(line for part in baseline.chosen(preset) for line in part.deviations)


def command_of(
    baseline: Baseline, dataset: Dataset, preset: str | None, seed: int, overrides: Mapping[str, Any], shuffle: bool
) -> str:
    """A command that repeats the run, with the data set in its default directory."""
    words = ["xmbench", "run-baseline", baseline.name, "--data", f"data/{dataset.recipe.name}"]
    words += ["--preset", preset] if preset else []
    words += ["--seed", str(seed)]
    for key, value in sorted(overrides.items()):
        words += ["--set", f"{key}={_toml(value)}"]
    return shlex.join(words + (["--shuffle-conditions"] if shuffle else []))


def _toml(value: Any) -> str:
    return json.dumps(value)


def hardware_of(device: str) -> tuple[str, str]:
    """The device to use, and a description of the machine."""
    name = f"{platform.machine()} CPU, {os.cpu_count()} cores"
    # A model that has not imported PyTorch needs neither it nor a GPU, and the import takes seconds.
    if device == "cpu" or (device == "auto" and "torch" not in sys.modules):
        return "cpu", name
    from xmbench.training import describe_device, resolve_device

    used = resolve_device(device)
    return used, describe_device(used) if used == "cuda" else name


def require_precision(device: str, config: Any) -> None:
    """Raises PrerequisiteError if a model's setting `precision` is "bf16" and the device computes without it."""
    if getattr(config, "precision", None) == "bf16":
        from xmbench.training import require_bf16

        require_bf16(device)


def parameters_of(generator: Generator, record: RunRecord) -> int | None:
    """Number of weights of a system: as the generator counts them, else those of all trained phases; None for none."""
    if isinstance(generator, CountsParameters):
        return int(generator.parameters)
    return sum(phase.parameters for phase in record.phases.values()) or None


def versions() -> dict[str, str]:
    """Versions of the packages that the outputs depend on."""
    found = {package: version(package) for package in PACKAGES}
    return {"xmbench": version("xmbench"), "python": platform.python_version(), **found}


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
