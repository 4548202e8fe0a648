"""One run from a data set to a submission."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmbench import registry
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_conditions, read_examples
from xmbench.formats.submission import OUTPUT_TABLE, SUBMISSION_FILE
from xmbench.interfaces import Classifier, Direction, Generator, Model, Run, SeesReferences
from xmbench.runner.describe import command_of, hardware_of, now, submission_of, versions
from xmbench.runner.outputs import BATCH, Outputs, shuffled
from xmbench.runner.settings import (
    RUN_FILE,
    Generation,
    RunRecord,
    claim,
    digest_of,
    outputs_folder,
    require_track,
    resolve_config,
    settings_of,
)
from xmbench.storage.files import make_folder, replacing, write_text


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run left: where, as which system, in how many seconds."""

    out: Path
    submission: Path
    track: str
    system: str
    training_seconds: float
    generation: Generation


def run(
    baseline: Baseline,
    dataset: Dataset,
    out: Path,
    *,
    preset: str | None = None,
    device: str = "auto",
    seed: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    shuffle_conditions: bool = False,
    progress: Callable[[str], None] = print,
) -> RunSummary:
    """Trains a baseline on a data set and writes its outputs for the track of its direction.

    Args:
        baseline: the row to run.
        dataset: where to train and generate.
        out: folder of the run; new or empty, unless `resume`.
        preset: variant of the baseline; always named in the submission.
        device: "auto", "cpu" or "cuda".
        seed: instead of the baseline's.
        overrides: settings instead of the baseline's, by name.
        resume: go on with an unfinished run, or generate again from a finished one.
        shuffle_conditions: the control: generate each item from another item's condition.
        progress: gets lines of progress.

    Raises:
        DatasetError: the data set has no such track, or cannot be read.
        DocumentError, UnknownNameError: settings that the model does not have.
        OutputError: `out` cannot be written, or holds something else.
        CheckError: the training diverged, or outputs are not finite or of the wrong shape.
    """
    model = registry.model(baseline.model)
    require_track(baseline, model, dataset)
    changes = dict(overrides or {})
    config = resolve_config(baseline, model, preset, changes)
    used_seed = baseline.seed if seed is None else seed
    settings = settings_of(baseline, dataset, config, used_seed)
    folder = outputs_folder(shuffle_conditions)
    record = claim(out, baseline, preset, settings, resume)
    used_device, hardware = hardware_of(device)
    command = command_of(baseline, dataset, preset, used_seed, changes, False)
    if record is None:
        record = RunRecord(
            baseline=baseline.name,
            preset=preset,
            settings=settings,
            command=command,
            hardware=hardware,
            versions=versions(),
        )
        write_text(make_folder(out) / RUN_FILE, record.to_json())

    started = time.monotonic()
    digests = {"settings": digest_of(settings), "data set": dataset.digest}
    place = Run(out, used_seed, used_device, resume, progress, digests)
    generator = model.fit(read_examples(dataset), dataset.recipe.task, baseline.direction, config, place)
    seconds = round(time.monotonic() - started, 2)
    progress(f"training: {seconds:.1f} s on {hardware}")
    if record.training_seconds is None:
        record = record.model_copy(update={"training_seconds": seconds})
        write_text(out / RUN_FILE, record.to_json())

    shuffle = used_seed if shuffle_conditions else None
    generation = _generate(generator, model, baseline.direction, dataset, out / folder, shuffle, progress)
    document = submission_of(baseline, dataset, record, changes, shuffle_conditions)
    write_text(out / folder / SUBMISSION_FILE, document.to_json())
    record = record.model_copy(update={"generations": {**record.generations, folder: generation}})
    write_text(out / RUN_FILE, record.to_json())
    return RunSummary(out, out / folder, document.track, document.system, record.training_seconds or 0.0, generation)


def _generate(
    generator: Generator,
    model: Model,
    direction: Direction,
    dataset: Dataset,
    folder: Path,
    shuffle: int | None,
    progress: Callable[[str], None],
) -> Generation:
    """Writes the outputs of the scored split; `submission.json` is removed first and written last.

    With a seed to shuffle by, each item is generated from another item's condition.
    """
    started = time.monotonic()
    track = dataset.track(direction)
    assert track is not None
    (make_folder(folder) / SUBMISSION_FILE).unlink(missing_ok=True)
    shown = isinstance(model, SeesReferences) and model.sees_references
    batches = read_conditions(dataset, track.split, direction, BATCH, model.oracle, shown)
    if shuffle is not None:
        batches = shuffled(batches, shuffle)
    labels = dataset.table(track.split, ["label"])
    label_of = dict(zip(labels["id"].to_pylist(), labels["label"].to_pylist(), strict=True))
    writer = Outputs(dataset, direction)
    right = asked = 0
    with replacing(folder / OUTPUT_TABLE) as temporary, writer.open(temporary):
        for conditions in batches:
            writer.add(conditions.ids, generator.generate(conditions))
            classes = generator.predict(conditions) if isinstance(generator, Classifier) else None
            if classes is not None:
                right += sum(label_of[i] == k for i, k in zip(conditions.ids, classes.tolist(), strict=True))
                asked += len(conditions.ids)
        writer.finish()
    seconds = round(time.monotonic() - started, 2)
    progress(f"generation: {writer.items} items, {seconds:.1f} s, {writer.clipped} samples clipped")
    return Generation(
        seconds=seconds,
        items=writer.items,
        clipped_samples=writer.clipped,
        head_accuracy=round(right / asked, 6) if asked else None,
        created=now(),
    )
