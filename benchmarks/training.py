"""What the training loop and the reading of training data cost, beside what they cannot do without.

Prints ratios, measured in turn in one run, so that other load on the machine falls on both sides:

- a step of MT-Net lite through `train` against a plain PyTorch loop with the same loss (processor time);
- the same with averaged weights, and as two updates;
- checkpoints of a network with 200 million parameters: seconds of one, and their share of the time;
- decoding a set of 64 x 64 images to disk against reading it into memory, opening it again, a batch of rows.

Run: ``python benchmarks/training.py [--rows 80000] [--parameters 200] [--folder DIR]``. Needs 4 GB of memory and 6 GB of disk.
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

STEPS, REPEATS, BATCH = 15, 5, 32
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
def net_and_data(recipe: Recipe) -> tuple[MTNet, Callable[[Tensor], Tensor]]:
    """MT-Net lite, and its loss on random images and clips."""
    settings = load_toml(content.find("baselines", "mtnet"), Baseline).configured("lite", {})
    net = MTNet(recipe.task, Config(**settings)).to(DEVICE)
    images = torch.randint(0, 256, (BATCH * STEPS, 28, 28, 1), dtype=torch.uint8, device=DEVICE)
    clips = torch.rand(10, recipe.audio.samples, device=DEVICE) - 0.5

    def loss(rows: Tensor) -> Tensor:
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
    net, loss = net_and_data(recipe)
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
            started = clock()
            way()
            if turn:  # the first one warms up
                took[name].append((clock() - started) / STEPS * 1000)
    base = took["plain loop"]
    for name, times in took.items():
        ratio = statistics.median(a / b for a, b in zip(times, base, strict=True))
        print(
            f"{name}: {min(times):.1f} ms a step (median {statistics.median(times):.1f}), {ratio:.3f} of the plain loop"
        )


# ------------------------------------------------------------------------------------------ checkpoints
def measure_checkpoints(millions: int, folder: Path) -> None:
    """Prints what a checkpoint of a large network costs: it has two moments per weight, selected and averaged weights."""
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
def large_set(small: Dataset, folder: Path, rows: int) -> Dataset:
    """A data set of 64 x 64 images and 500 clips, in row groups of 1,000, in shards of 20,000."""
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 64)[:, None, None]
    pictures = [
        image.encode_png(
            (ramp * random.random((1, 64, 3))).astype(np.uint8) + random.integers(0, 8, (64, 64, 3), np.uint8) % 3
        )
        for _ in range(500)
    ]
    samples = small.recipe.audio.samples
    clips = [audio.encode_wav(random.integers(-9000, 9000, samples).astype(np.int16), 22050) for _ in range(500)]
    recipe = small.recipe.model_copy(update={"image": ImageSpec(height_px=64, width_px=64, mode="RGB")})
    form = schema(recipe, [])
    shards = []
    for start in range(0, rows, 20_000):
        path = folder / f"data/train-{len(shards):05d}-of-{-(-rows // 20_000):05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path, form, compression="zstd", dictionary_pagesize_limit=2**26) as writer:
            for first in range(start, min(start + 20_000, rows), 1000):
                items = range(first, min(first + 1000, rows, start + 20_000))
                table = [
                    {
                        "id": f"item-{i:07d}",
                        "image": {"bytes": pictures[i % 500], "path": None},
                        "audio": {"bytes": clips[i % 500], "path": None},
                        "label": i % 10,
                        "take": f"take-{i % 500}",
                        "group": f"item-{i:07d}",
                        "duration_s": 0.5,
                        "source": "benchmark",
                    }
                    for i in items
                ]
                writer.write_table(pa.Table.from_pylist(table, schema=form))
        count = min(20_000, rows - start)
        name = str(path.relative_to(folder))
        shards.append(ShardRecord(path=name, split="train", rows=count, bytes=path.stat().st_size, digest="0" * 64))
    counts = Counts(planned=rows, written=rows)
    split = SplitRecord(counts=counts, classes={}, takes={"all": 500})
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
        print(f"{rows} rows of 64 x 64 {name}: {took[name]:.2f} s")
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
