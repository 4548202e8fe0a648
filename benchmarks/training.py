"""What the training loop and the reading of training data cost, beside what they cannot do without.

Prints ratios, measured in turn in one run, so that other load on the machine falls on both sides:

- a step of MT-Net lite through `train` against a plain PyTorch loop with the same loss (processor time);
- the same with averaged weights, and as two updates;
- checkpoints of a network with 200 million parameters: seconds of one, and their share of the time;
- decoding a set of 64 x 64 images to disk against reading it into memory, opening it again, a batch of rows.

Run: ``python benchmarks/training.py [--rows 80000] [--parameters 200] [--folder DIR]``.
Needs 5 GB of memory and of disk.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xmbench import content
from xmbench.baselines.mtnet import Config, MTNet, generation_loss
from xmbench.builder.build import build
from xmbench.formats.baseline import Baseline
from xmbench.formats.columns import schema
from xmbench.formats.dataset import Counts, Dataset, ShardRecord, SplitRecord, open_dataset
from xmbench.formats.document import load_toml
from xmbench.formats.items import read_examples
from xmbench.formats.recipe import ImageSpec, Recipe
from xmbench.interfaces import Run
from xmbench.media import audio, image
from xmbench.networks.images import standardise
from xmbench.runner.examples import open_examples
from xmbench.training import Optimiser, Phase, Tensors, Update, resolve_device, train
from xmbench.training.checkpoints import EVERY_S, SHARE, Timer, save_partial
from xmbench.training.optimisers import make_optimiser
from xmbench.training.phase import State
from xmbench.training.processes import Processes

STEPS, REPEATS, BATCH = 9, 5, 32
DEVICE = resolve_device("auto")


def quiet(_line: str) -> None:
    """No progress."""


def run_in(folder: Path) -> Run:
    """A run that writes below a folder."""
    return Run(folder, 0, DEVICE, False, quiet)


def clock() -> float:
    """Processor time on a CPU; the clock where a GPU does the work."""
    if DEVICE == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


# ------------------------------------------------------------------------------------------------ steps
def net_and_loss(recipe: Recipe, marks: list[float]) -> tuple[MTNet, Callable[[Tensor], Tensor]]:
    """MT-Net lite, and its loss on random images and clips, which notes when it was asked for."""
    settings = load_toml(content.find("baselines", "mtnet"), Baseline).configured("lite", {})
    net = MTNet(recipe.task, Config(**settings)).to(DEVICE)
    images = torch.randint(0, 256, (BATCH * STEPS, 28, 28, 1), dtype=torch.uint8, device=DEVICE)
    clips = torch.rand(10, recipe.audio.samples, device=DEVICE) - 0.5

    def loss(rows: Tensor) -> Tensor:
        marks.append(clock())
        rows = rows.to(DEVICE)
        return generation_loss(net(standardise(images[rows]))[2], clips[rows % 10])

    return net, loss


def plain_loop(net: nn.Module, loss: Callable[[Tensor], Tensor], settings: Optimiser) -> None:
    """What everyone writes."""
    optimiser = make_optimiser(net, settings)
    net.train()
    for rows in torch.randperm(BATCH * STEPS).split(BATCH):
        value = loss(rows)
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def measure_steps(recipe: Recipe, folder: Path) -> None:
    """Prints the cost of a step in four ways."""
    marks: list[float] = []
    net, loss = net_and_loss(recipe, marks)
    settings = Optimiser(learning_rate=1e-5)
    whole = (Update(net, settings, lambda rows: {"loss": loss(rows)}),)
    halves = (
        Update(net.features, settings, lambda rows: {"loss": loss(rows)}, "features"),
        Update(nn.ModuleList([net.mapping, net.generator]), settings, lambda rows: {"loss": loss(rows)}, "rest"),
    )

    def ours(updates: tuple[Update, ...], average: float = 0.0) -> None:
        train(Phase("steps", net, BATCH * STEPS, STEPS, BATCH, updates, average=average), run_in(folder))

    ways: dict[str, Callable[[], None]] = {
        "plain loop": lambda: plain_loop(net, loss, settings),
        "train": lambda: ours(whole),
        "train, averaged": lambda: ours(whole, 0.999),
        "train, two updates": lambda: ours(halves),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(REPEATS + 1):
        for name, way in ways.items():
            marks.clear()
            way()
            losses = (
                len(marks) // STEPS
            )  # of a step; what comes before the first step and after the last does not count
            if turn:  # the first turn warms up
                took[name].append((marks[-losses] - marks[0]) / (STEPS - 1) * 1000)
    base = took["plain loop"]
    for name, times in took.items():
        ratio = statistics.median(a / b for a, b in zip(times, base, strict=True))
        shown = f"{min(times):.1f} ms a step, median {statistics.median(times):.1f}"
        print(f"{name}: {shown}; {ratio:.3f} of the plain loop", flush=True)


# ------------------------------------------------------------------------------------------ checkpoints
def measure_checkpoints(millions: int, folder: Path) -> None:
    """Prints what a checkpoint of a large network costs, with two moments per weight, selected and averaged weights."""
    width = 4096
    net = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(millions * 10**6 // width**2))).to(DEVICE)
    update = Update(net, Optimiser("adamw"), dict)
    phase = Phase("large", net, 8, 8, 8, (update,), average=0.999)
    optimiser = make_optimiser(net, update.optimiser)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    best = {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}
    average = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    state = State([optimiser], 1, best=best, average=average)
    timer, times = Timer(phase, state), []
    for _ in range(2):
        started = time.monotonic()
        timer.write(lambda: save_partial(folder / "large.pt", phase, run_in(folder), state, Processes()))
        times.append(time.monotonic() - started)
    size = (folder / "large.pt").stat().st_size
    (folder / "large.pt").unlink()
    interval = max(EVERY_S, times[-1] / SHARE)
    count = sum(parameter.numel() for parameter in net.parameters()) / 1e6
    print(
        f"checkpoint of {count:.0f} M parameters: {size / 1e9:.2f} GB in {times[0]:.1f} and {times[1]:.1f} s; "
        f"the next one after {interval:.0f} s: {times[-1] / (interval + times[-1]):.3f} of the time"
    )


# ------------------------------------------------------------------------------------------------- data
def media(recipe: Recipe, distinct: int) -> tuple[list[bytes], list[bytes]]:
    """Files of smooth images with a little noise, and of noise."""
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 64)[:, None, None] * random.random((distinct, 1, 64, 3))
    pixels = np.clip(ramp + random.integers(0, 3, ramp.shape), 0, 255).astype(np.uint8)
    samples = random.integers(-9000, 9000, (distinct, recipe.audio.samples)).astype(np.int16)
    return [image.encode_png(one) for one in pixels], [audio.encode_wav(one, 22050) for one in samples]


def table_of(items: NDArray[np.int64], pictures: list[bytes], clips: list[bytes], form: pa.Schema) -> pa.Table:
    """Some rows; images and clips repeat."""
    columns = {
        "id": [f"item-{i:07d}" for i in items],
        "image": [{"bytes": pictures[i % len(pictures)], "path": None} for i in items],
        "audio": [{"bytes": clips[i % len(clips)], "path": None} for i in items],
        "label": items % 10,
        "take": [f"take-{i % len(clips)}" for i in items],
        "group": [f"item-{i:07d}" for i in items],
        "duration_s": np.full(len(items), 0.5),
        "source": ["benchmark"] * len(items),
    }
    return pa.table(columns, schema=form)


def large_set(small: Dataset, folder: Path, rows: int, distinct: int = 500) -> Dataset:
    """A data set of 64 x 64 images and 500 clips, in shards of 20,000 rows with row groups of 1,000."""
    recipe = small.recipe.model_copy(update={"image": ImageSpec(height_px=64, width_px=64, mode="RGB")})
    files, form, shards = media(recipe, distinct), schema(recipe, []), []
    (folder / "data").mkdir(parents=True)
    for start in range(0, rows, 20_000):
        name = f"data/train-{len(shards):05d}-of-{-(-rows // 20_000):05d}.parquet"
        stop = min(start + 20_000, rows)
        with pq.ParquetWriter(folder / name, form, compression="zstd", dictionary_pagesize_limit=2**26) as writer:
            for first in range(start, stop, 1000):
                writer.write_table(table_of(np.arange(first, min(first + 1000, stop)), *files, form))
        size = (folder / name).stat().st_size
        shards.append(ShardRecord(path=name, split="train", rows=stop - start, bytes=size, digest="0" * 64))
    split = SplitRecord(counts=Counts(planned=rows, written=rows), classes={}, takes={"all": distinct})
    changes = {"recipe": recipe, "splits": {"train": split}, "shards": tuple(shards), "dataset_digest": "f" * 64}
    (folder / "manifest.json").write_text(small.manifest.model_copy(update=changes).to_json())
    return open_dataset(folder)


def measure_data(small: Dataset, folder: Path, rows: int) -> None:
    """Prints the seconds of reading a set in three ways, and of a batch of its rows."""
    dataset = large_set(small, folder / "large", rows)
    took = {}
    for name, way in {
        "into memory, on one core": lambda: read_examples(dataset),
        "decoded to disk, on every core": lambda: open_examples(dataset, quiet),
        "opened again": lambda: open_examples(dataset, quiet),
    }.items():
        started = time.perf_counter()
        way()
        took[name] = time.perf_counter() - started
        print(f"{rows} rows of 64 x 64 {name}: {took[name]:.2f} s", flush=True)
    first, second, third = took.values()
    print(f"ratios: decoding {second / first:.2f}, every later run {third / first:.4f}")
    data = Tensors(open_examples(dataset, quiet), run_in(folder))
    batches = torch.randperm(rows)[: 64 * 200].split(64)
    started = clock()
    for batch, coming in itertools.pairwise(batches):
        data.pixels(batch)
        data.ahead(coming)
    print(f"a batch of 64 rows: {(clock() - started) / 199 * 1000:.3f} ms")


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=80_000, help="of the set of 64 x 64 images")
    parser.add_argument("--parameters", type=int, default=200, help="millions, of the network that is saved")
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    given = parser.parse_args()
    print(f"{DEVICE}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        small = build(load_toml(content.find("recipes", "digits-ad"), Recipe), folder / "small", limit=20, workers=1)
        measure_steps(small.recipe, folder / "steps")
        measure_checkpoints(given.parameters, folder)
        measure_data(small, folder, given.rows)


if __name__ == "__main__":
    main()
