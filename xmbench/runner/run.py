"""One run: from a data set to submissions."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench import registry
from xmbench.errors import PrerequisiteError
from xmbench.execution.progress import silent
from xmbench.execution.ranks import rank
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_conditions
from xmbench.formats.submission import SUBMISSION_FILE
from xmbench.interfaces import (
    Classifier,
    ClassifiesInOnePass,
    Conditions,
    Direction,
    Generator,
    Model,
    PhaseProgress,
    Run,
    SeesReferences,
)
from xmbench.runner.describe import (
    command_of,
    hardware_of,
    now,
    parameters_of,
    require_precision,
    submission_of,
    versions,
)
from xmbench.runner.examples import open_examples
from xmbench.runner.first_interface import fit
from xmbench.runner.output_tables import OutputForm
from xmbench.runner.outputs import BATCH, Outputs, shuffled
from xmbench.runner.pieces import Pieces, limit_of, require_time
from xmbench.runner.presets import canonical
from xmbench.runner.settings import (
    RUN_FILE,
    Generation,
    RunRecord,
    claim,
    depends_on_threads,
    digest_of,
    require_track,
    resolve_config,
    resolve_threads,
    settings_of,
    submission_folder,
)
from xmbench.runner.speech import RecipeSpeech
from xmbench.runner.threads import computing_with, used_threads
from xmbench.storage.files import make_folder, write_text


@dataclass(frozen=True, slots=True)
class Written:
    """One submission of a run: its direction, directory, track and system, and how its outputs were made."""

    direction: Direction
    submission: Path
    track: str
    system: str
    generation: Generation


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run wrote and where, the seconds of training, and one submission per direction.

    Of several processes only the first writes submissions; `written` is empty in the others. The properties are
    those of the first direction.
    """

    out: Path
    training_seconds: float
    written: tuple[Written, ...]

    @property
    def submission(self) -> Path:
        """Directory of the submission."""
        return self.written[0].submission

    @property
    def track(self) -> str:
        """Name of the track."""
        return self.written[0].track

    @property
    def system(self) -> str:
        """Name of the row."""
        return self.written[0].system

    @property
    def generation(self) -> Generation:
        """How the outputs were made."""
        return self.written[0].generation


def run(
    baseline: Baseline,
    dataset: Dataset,
    out: Path,
    *,
    preset: str | None = None,
    device: str = "auto",
    seed: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    form: OutputForm | None = None,
    resume: bool = False,
    shuffle_conditions: bool = False,
    time_limit_s: float | None = None,
    progress: Callable[[str], None] = print,
    status: Callable[[str], None] | None = None,
) -> RunSummary:
    """Trains a baseline on a data set, once, and writes its outputs for the track of each of its directions.

    Args:
        baseline: the row to run.
        dataset: where to train and generate.
        out: directory of the run; new or empty, unless `resume`.
        preset: variant of the baseline, or several ("lite,gen-only"); always named in the submission.
        device: "auto", "cpu" or "cuda".
        seed: instead of the baseline's.
        overrides: settings instead of the baseline's, by name.
        form: kind and largest size of the files with the outputs; None for wav (or png) in one table.
        resume: continue an unfinished run, or generate again from a finished one.
        shuffle_conditions: the control: generate each item from another item's condition.
        time_limit_s: seconds after which the training writes a checkpoint and stops, or the generation stops; `resume`
            continues the training, and generates from the beginning.
        progress: gets lines of progress.
        status: gets short lines, several in a second, each of which replaces the one before.

    Raises:
        DatasetError: the data set has no such track, or cannot be read.
        DocumentError, UnknownNameError: settings that the model does not have.
        OutputError: `out` cannot be written, or has other files.
        PrerequisiteError: no such device, a precision that it does not have, or out of memory.
        UnfinishedError: the time limit has come; there is no new submission.
        CheckError: the training diverged, or outputs are not finite or of the wrong shape.
    """
    stop_at = limit_of(time_limit_s)
    model = registry.model(baseline.model)
    require_track(baseline, model, dataset)
    changes = dict(overrides or {})
    preset = canonical(baseline, preset)
    config = resolve_config(baseline, model, preset, changes, dataset.recipe.name)
    stated = resolve_threads(baseline, preset, changes, dataset.recipe.name)
    used_seed = baseline.seed if seed is None else seed
    settings = settings_of(baseline, dataset, config, used_seed, stated)
    first = rank() == 0  # of several processes, the one that writes
    progress, status = (progress, status) if first else (silent, None)
    used_device, hardware = hardware_of(device)
    require_precision(used_device, config)
    record = claim(out, baseline, preset, settings, resume) if first else None
    threads = used_threads(stated, used_device)
    command = command_of(baseline, dataset, preset, used_seed, changes, False)
    record = record or RunRecord(
        baseline=baseline.name,
        preset=preset,
        settings=settings,
        command=command,
        hardware=hardware,
        threads=threads if depends_on_threads(baseline, stated) else None,
        versions=versions(),
    )
    if first:
        write_text(make_folder(out) / RUN_FILE, record.to_json())
    digests = {"settings": digest_of(settings), "data set": dataset.digest}
    speech = RecipeSpeech(dataset.recipe)
    pieces = Pieces(out / RUN_FILE, record, writes=first)
    phases: dict[str, PhaseProgress] = {}
    place = Run(out, used_seed, used_device, resume, progress, digests, baseline.directions, speech)
    place = replace(place, phases=phases, status=status, saved=lambda: pieces.keep(phases), stop_at=stop_at)
    with computing_with(threads, baseline, stated):
        with pieces.training(phases):
            generator = _fit(model, dataset, config, place)
        record = pieces.record
        if not first:
            return RunSummary(out, record.training_seconds or 0.0, ())
        progress(f"training: {record.training_seconds:.1f} s on {hardware}")
        return _write_all(
            generator, model, baseline, dataset, record, out, changes, shuffle_conditions, form, progress, stop_at
        )


def _write_all(
    generator: Generator,
    model: Model,
    baseline: Baseline,
    dataset: Dataset,
    record: RunRecord,
    out: Path,
    changes: Mapping[str, Any],
    shuffle: bool,
    form: OutputForm | None,
    progress: Callable[[str], None],
    stop_at: float | None,
) -> RunSummary:
    """Generates for each direction; `run.json` and each `submission.json` say what is complete."""
    seed = int(record.settings["seed"])
    written = []
    for direction in baseline.directions:
        folder = out / submission_folder(baseline, direction, shuffle)
        made = _generate(generator, model, direction, dataset, folder, seed if shuffle else None, form, stop_at)
        progress(f"generation: {made.items} items, {made.seconds:.1f} s, {made.clipped_samples} samples clipped")
        document = submission_of(baseline, dataset, record, changes, shuffle, direction)
        known = {"parameters": parameters_of(generator, record), "head_accuracy": made.head_accuracy}
        document = document.model_copy(update=known)
        write_text(folder / SUBMISSION_FILE, document.to_json())
        record = record.model_copy(update={"generations": {**record.generations, folder.name: made}})
        write_text(out / RUN_FILE, record.to_json())
        written.append(Written(direction, folder, document.track, document.system, made))
    return RunSummary(out, record.training_seconds or 0.0, tuple(written))


def _fit(model: Model, dataset: Dataset, config: Any, place: Run) -> Generator:
    with _enough_memory():
        return fit(model, open_examples(dataset, place.progress), dataset.recipe.task, config, place)


@contextmanager
def _enough_memory() -> Iterator[None]:
    """Turns out-of-memory errors into a message; those of PyTorch only where it was imported."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if "torch" not in sys.modules:
            if not isinstance(error, MemoryError):
                raise
            raise PrerequisiteError("out of memory", todo="close other programs, or use a smaller data set") from error
        from xmbench.training import computing

        with computing("running this baseline"):
            raise


def _of_batch(
    generator: Generator, conditions: Conditions, direction: Direction
) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """The outputs of a batch, and the classes that the generator recognises if it does: in one pass where it can."""
    if isinstance(generator, ClassifiesInOnePass):
        return generator.generate_and_predict(conditions, direction)
    outputs = generator.generate(conditions, direction)
    return outputs, generator.predict(conditions) if isinstance(generator, Classifier) else None


def _labels(dataset: Dataset, split: str) -> dict[str, int]:
    table = dataset.table(split, ["label"])
    return dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))


def _generate(
    generator: Generator,
    model: Model,
    direction: Direction,
    dataset: Dataset,
    folder: Path,
    shuffle: int | None,
    form: OutputForm | None,
    stop_at: float | None,
) -> Generation:
    """Writes the outputs of the scored split; `submission.json` is removed first and written last.

    If `shuffle` is a seed, each item is generated from another item's condition.
    """
    started = time.monotonic()
    track = dataset.track(direction)
    assert track is not None
    (make_folder(folder) / SUBMISSION_FILE).unlink(missing_ok=True)
    references = isinstance(model, SeesReferences) and model.sees_references
    batches = read_conditions(dataset, track.split, direction, BATCH, model.oracle, references)
    if shuffle is not None:
        batches = shuffled(batches, shuffle)
    label_of = _labels(dataset, track.split)
    writer = Outputs(dataset, direction, form)
    right = predicted = 0
    with _enough_memory(), writer.open(folder):
        for conditions in batches:
            require_time(stop_at, folder.parent, f"the training is finished, {writer.items} outputs are generated")
            outputs, classes = _of_batch(generator, conditions, direction)
            writer.add(conditions.ids, outputs)
            if classes is not None:
                right += sum(label_of[i] == k for i, k in zip(conditions.ids, classes.tolist(), strict=True))
                predicted += len(conditions.ids)
        writer.finish()
    return Generation(
        seconds=round(time.monotonic() - started, 2),
        items=writer.items,
        clipped_samples=writer.clipped,
        head_accuracy=round(right / predicted, 6) if predicted else None,
        created=now(),
    )
