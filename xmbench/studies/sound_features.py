"""Which picture of a sound tells instruments apart: table 1 of Chen et al. (2017), rerun on any built set.

Five pictures (STFT, CQT, MFCC, mel, log-mel), three and four convolutions, several seeds. A classifier is trained on
the training split, its weights are selected by takes that are held out of it, and all test items count: no take is on
two sides. The accuracy is a share of items; its interval is over takes, and over seeds from three on.

::

    OUT/table.json          the table
    OUT/seed-0/ ...         checkpoints and curves of each training; the same command again trains what is missing
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xmbench.errors import UnknownNameError, UnsuitableDatasetError, nearest
from xmbench.execution.progress import silent
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import Part
from xmbench.formats.items import read_conditions
from xmbench.interfaces import Run
from xmbench.networks.sound_features import FEATURES
from xmbench.runner.examples import open_examples
from xmbench.statistics import exact_mean, members, of_mean
from xmbench.storage.files import make_folder, write_text
from xmbench.studies.feature_classifier import Pictures, Settings, recognised, trained
from xmbench.training import Tensors, describe_device, processor_threads, resolve_device

TABLE_FILE = "table.json"
CONVOLUTIONS = (3, 4)
SEEDS = (0, 1, 2)
PRESETS: Mapping[str, Settings] = {
    "": Settings(),
    "lite": Settings(widths=(8, 16, 32, 64), hidden=128, learning_rate=1e-3, epochs=3, min_steps=240, batch=32),
}
# Table 1, of the authors' Sub-URMP: other files, another split, no seeds
REPORTED: Mapping[tuple[str, int], float] = {
    ("mel", 3): 0.6201,
    ("log-mel", 3): 0.8412,
    ("cqt", 3): 0.7300,
    ("mfcc", 3): 0.8006,
    ("stft", 3): 0.7405,
    ("mel", 4): 0.6609,
    ("log-mel", 4): 0.8744,
    ("cqt", 4): 0.7778,
    ("mfcc", 4): 0.8105,
    ("stft", 4): 0.7573,
}
_BATCH = 256


class Row(Part):
    """One kind of picture and depth of network.

    Attributes:
        features, convolutions: which.
        rows, frames: size of a picture.
        parameters: of the classifier.
        accuracy: mean over the seeds of the share of test items that are recognised; `by_seed` has each.
        low, high: its 95 % interval, over takes and seeds; None with too few takes.
        reported: by the authors on their data, for comparison alone.
    """

    features: str
    convolutions: int
    rows: int
    frames: int
    parameters: int
    accuracy: float
    by_seed: tuple[float, ...]
    low: float | None
    high: float | None
    reported: float | None


class FeatureTable(Part):
    """The table, and what it was measured on.

    Attributes:
        items, takes: of the test split.
        held_out: training items that select weights, by seed.
        most_frequent: share of the most frequent class among the test items: what a constant answer reaches.
    """

    schema_: str = Field(default="xmbench/sound-features/1", alias="schema")
    recipe: str
    data_digest: str
    dataset_digest: str
    preset: str
    settings: Settings
    seeds: tuple[int, ...]
    hardware: str
    items: int
    takes: int
    held_out: tuple[int, ...]
    most_frequent: float
    table: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class _Tested:
    """The test split: clips int16 (N, T), labels and takes (N,)."""

    clips: NDArray[np.int16]
    labels: NDArray[np.int64]
    takes: NDArray[np.intp]


def compare_features(
    dataset: Dataset,
    out: Path,
    *,
    names: Sequence[str] = tuple(FEATURES),
    convolutions: Sequence[int] = CONVOLUTIONS,
    seeds: Sequence[int] = SEEDS,
    preset: str = "",
    settings: Settings | None = None,
    device: str = "auto",
    progress: Callable[[str], None] = silent,
) -> FeatureTable:
    """Trains and tests every classifier of the table, and writes it.

    Args:
        dataset: a built set with a training and a test split.
        out: directory for the table and the trainings; those that are finished are not repeated.
        names: of `FEATURES`, in the order of the table.
        convolutions: depths of the network.
        seeds: of each; three or more for an interval that includes them.
        preset: "" for the paper's width, "lite" for a CPU.
        settings: in place of the preset's.
        device: "auto", "cpu" or "cuda".
        progress: gets lines of progress.

    Raises:
        UnknownNameError: no such features.
        UnsuitableDatasetError: fewer than two classes, no test items, or clips that are too short.
        OutputError: the directory cannot be written, or has trainings of other settings or data.
    """
    for name in names:
        if name not in FEATURES:
            raise UnknownNameError(f"no features are called '{name}'", expected=nearest(name, FEATURES))
    chosen = settings or PRESETS[preset]
    tested = _test_split(dataset)
    device = resolve_device(device)
    right: dict[tuple[str, int], list[NDArray[np.float64]]] = {}
    shapes: dict[tuple[str, int], tuple[int, int, int]] = {}
    held_out = []
    examples = open_examples(dataset, progress)
    with processor_threads(1) if device == "cpu" else nullcontext():
        hardware = describe_device(device)
        for seed in seeds:
            run = _run_of(dataset, make_folder(out / f"seed-{seed}"), chosen, seed, device, progress)
            data = Tensors(examples, run)
            held_out.append(len(data.held_out))
            for name in dict.fromkeys(names):
                pictures = Pictures(name, examples, data, dataset.recipe.task, device)
                for depth in convolutions:
                    net = trained(name, depth, pictures, data, dataset.recipe.task, chosen, run)
                    found = recognised(net, pictures, tested.clips, device) == tested.labels
                    right.setdefault((name, depth), []).append(found.astype(np.float64))
                    shapes[name, depth] = (*pictures.size, sum(p.numel() for p in net.parameters()))
                    progress(f"{name}, {depth} convolutions, seed {seed}: {found.mean():.4f} of the test items")
    table = FeatureTable(
        recipe=dataset.recipe.name,
        data_digest=dataset.manifest.data_digest,
        dataset_digest=dataset.digest,
        preset=preset,
        settings=chosen,
        seeds=tuple(seeds),
        hardware=hardware,
        items=len(tested.labels),
        takes=int(tested.takes.max()) + 1,
        held_out=tuple(held_out),
        most_frequent=float(np.bincount(tested.labels).max() / len(tested.labels)),
        table=tuple(_row(*key, shapes[key], right[key], tested.takes) for key in right),
    )
    write_text(out / TABLE_FILE, table.model_dump_json(by_alias=True, indent=1) + "\n")
    return table


def _row(
    name: str, depth: int, shape: tuple[int, int, int], right: list[NDArray[np.float64]], takes: NDArray[np.intp]
) -> Row:
    by_seed = tuple(float(found.mean()) for found in right)
    interval = of_mean(right, takes, low=0.0, high=1.0)
    return Row(
        features=name,
        convolutions=depth,
        rows=shape[0],
        frames=shape[1],
        parameters=shape[2],
        accuracy=exact_mean(np.array(by_seed)),
        by_seed=by_seed,
        low=interval.low,
        high=interval.high,
        reported=REPORTED.get((name, depth)),
    )


def _test_split(dataset: Dataset) -> _Tested:
    if dataset.count("test") == 0 or len(dataset.recipe.classes.names) < 2:
        raise UnsuitableDatasetError(
            "nothing to tell apart", where=dataset.folder, expected="two classes or more, and a test split"
        )
    batches = list(read_conditions(dataset, "test", "a2i", _BATCH, with_labels=True))
    groups = [str(row["group"]) for row in dataset.rows("test", ["group"])]
    labels = [batch.labels for batch in batches if batch.labels is not None]
    return _Tested(np.concatenate([batch.inputs for batch in batches]), np.concatenate(labels), members(groups))


def _run_of(
    dataset: Dataset, folder: Path, settings: Settings, seed: int, device: str, progress: Callable[[str], None]
) -> Run:
    digest = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()
    fingerprint = {"settings": digest, "data set": dataset.digest}
    return Run(folder, seed, device, True, progress, fingerprint)
