"""What guidance buys and what it costs: a curve over a finished `flow-speech` run, on its validation items.

Guidance moves a sample away from what the network would say without an image: words become clearer, takes more alike.
Nothing is trained; the weights are loaded, and the held-out training items are spoken once per value. No test item is
used, so that a value may be chosen by this table.

Run: ``python benchmarks/guidance.py runs/flow-speech --data data/mnist-ad-voices``; other settings of the generation
with ``--set steps=32``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xmbench import registry
from xmbench.builder.plan import load_recipe
from xmbench.errors import PrerequisiteError
from xmbench.evaluator.judge import judging_context, load_judges
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.document import load_json
from xmbench.interfaces import Conditions, Examples, Generator, Metric, Pair, Run, ScoringContext, WholeSet
from xmbench.media.audio import to_float, to_int16
from xmbench.media.signal import Sound
from xmbench.runner.examples import open_examples
from xmbench.runner.settings import RUN_FILE, RunRecord
from xmbench.training import carve_validation

METRICS = ("word-accuracy", "word-accuracy-second", "precision", "recall", "diversity", "collapse")
BATCH = 64


def generator_of(
    folder: Path, dataset: Dataset, examples: Examples, settings: Mapping[str, Any], overrides: Mapping[str, Any]
) -> Generator:
    """The trained model of a run, with other settings of its generation.

    Raises:
        PrerequisiteError: the run is not finished.
        OutputError: a setting that the weights depend on was changed.
    """
    if not (folder / "checkpoints" / "flow.safetensors").is_file():
        raise PrerequisiteError("this run has no trained flow", where=folder, todo="finish it with --resume")
    model = registry.model(settings["model"])
    config = model.Config(**{**settings["config"], **overrides})
    fingerprint = {"data set": dataset.digest}
    run = Run(folder, settings["seed"], "cpu", True, lambda _line: None, fingerprint)
    return model.fit(examples, dataset.recipe.task, config, run)


def spoken(generator: Generator, examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Outputs for some training images, as a submission stores them, float32 (N, T)."""
    made = []
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        conditions = Conditions(tuple(examples.ids[row] for row in part), examples.images[part])
        made.append(to_float(to_int16(generator.generate(conditions, "i2a"))))
    return np.concatenate(made)


def value_of(metric: Metric, pairs: Sequence[Pair], context: ScoringContext) -> float:
    """One metric over all pairs."""
    found = [metric.prepare(pairs[start : start + BATCH], context) for start in range(0, len(pairs), BATCH)]
    states = [state.state for part in found for state in part]
    usable = np.array([state is not None for state in states])
    if not usable.all():
        raise SystemExit(f"{metric.name}: {int((~usable).sum())} outputs cannot be measured")
    table = np.stack([state for state in states if state is not None])
    if isinstance(metric, WholeSet):
        table = metric.finish(table, usable)
    return float(metric.reduce(table, np.ones((1, len(pairs))))[0])


def curve(folder: Path, data: Path, values: Sequence[float], overrides: Mapping[str, Any], most: int) -> None:
    """Prints one line per value of the guidance."""
    dataset = open_dataset(data)
    track = load_recipe(dataset.recipe.name).track("i2a")  # the installed judges, also for a set built before them
    assert track is not None
    record = load_json(folder / RUN_FILE, RunRecord)
    examples = open_examples(dataset, lambda _line: None)
    _, held_out = carve_validation(examples.ids, examples.labels, examples.groups, record.settings["seed"])
    rows = held_out[:: -(-len(held_out) // most)]
    context = judging_context(dataset, *load_judges(dataset, track))
    context = ScoringContext(context.task, context.judges)  # nothing is kept: these are not the test references
    rate = dataset.recipe.audio.sample_rate_hz
    references = [Sound(clip, rate) for clip in examples.as_outputs(rows, "i2a")]
    print(f"{len(rows)} validation items, seed {record.settings['seed']}")
    print("guidance  " + "  ".join(METRICS) + "  seconds per item")
    for value in values:
        generator = generator_of(folder, dataset, examples, record.settings, {**overrides, "guidance": value})
        start = time.process_time()
        outputs = spoken(generator, examples, rows)
        seconds = (time.process_time() - start) / len(rows)
        pairs = [
            Pair(examples.ids[row], int(examples.labels[row]), Sound(output, rate), reference)
            for row, output, reference in zip(rows, outputs, references, strict=True)
        ]
        scores = [value_of(registry.metric(name), pairs, context) for name in METRICS]
        cells = [f"{score:{len(name)}.3f}" for name, score in zip(METRICS, scores, strict=True)]
        print(f"{value:8g}  " + "  ".join(cells) + f"  {seconds:16.3f}", flush=True)


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", help="folder of a finished run")
    parser.add_argument("--data", type=Path, help="the data set of the run")
    parser.add_argument("--values", type=float, nargs="+", default=[1.0, 2.0, 3.0, 4.0, 6.0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the generation")
    parser.add_argument("--items", type=int, default=1000, help="at most so many validation items")
    options = parser.parse_args()
    if options.run is None or options.data is None:  # as `make bench` runs it: there is nothing to measure
        parser.print_usage()
        return
    torch.set_num_threads(1)
    overrides = dict(setting.split("=", 1) for setting in options.set)
    curve(options.run, options.data, options.values, overrides, options.items)


if __name__ == "__main__":
    main()
