"""How fast rows are written: xmbench against `Dataset.from_generator` + `to_parquet`, on the same rows, and the disk.

Both read the same pixels, encode the same PNG images and store the same clips, in one process each, one after
the other, in a process of its own (so that the peak memory is its own). `datasets` needs torchcodec for a
column of type Audio, so its way writes plain structs and casts them, the fastest way that works without it.
The write speed of the disk (256 MB of random bytes, written and synced) is the physical limit.

    python benchmarks/build.py --rows 20000
    python benchmarks/build.py --rows 20000 --recipe cifar100-ad --source FOLDER
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xmbench.builder import plan, shard_writer
from xmbench.builder.plan import Item, Plan, Request, Shard, load_recipe
from xmbench.builder.upstream.fetch import obtain
from xmbench.execution.progress import silent
from xmbench.formats.columns import features
from xmbench.interfaces import RawImage
from xmbench.media import image


@dataclass(frozen=True)
class Rows:
    """What to write: a recipe's items, with its upstream files from a folder (None: embedded ones)."""

    recipe: str
    source: Path | None
    number: int


def planned(rows: Rows, folder: Path, number: int) -> tuple[Plan, tuple[Item, ...]]:
    """The recipe's items, repeated under new ids until there are `number`."""
    recipe = load_recipe(rows.recipe)
    files = obtain(recipe, rows.source, offline=True, progress=silent, accept_changed=rows.source is not None)
    decided = plan.make(Request(recipe, None, None), files, folder / "clips", silent)
    items = [item for shard in decided.shards for item in shard.items]
    repeated = [replace(items[i % len(items)], id=f"row-{i:07d}", split="train") for i in range(number)]
    return decided, tuple(repeated)


def ours(rows: Rows, folder: Path) -> None:
    """One shard by xmbench."""
    decided, items = planned(rows, folder, rows.number)
    job = shard_writer.job(decided, folder / "clips", folder, folder)
    shard_writer.write_shard(job, shard_writer.ShardTask(Shard("train.parquet", "train", items), decided.takes))


def theirs(rows: Rows, folder: Path) -> None:
    """One file by `datasets`."""
    from datasets import Dataset, Features, Value, disable_progress_bars

    disable_progress_bars()
    decided, items = planned(rows, folder, rows.number)
    reader, recipe = decided.reader, decided.request.recipe
    columns = features(recipe, decided.attributes)
    media = {"bytes": Value("binary"), "path": Value("string")}
    plain = {**columns, "image": media, "audio": media, "label": Value("int64")}
    sounds = {key: (folder / "clips" / take.file).read_bytes() for key, take in decided.takes.items()}

    def generate() -> Iterator[dict[str, Any]]:
        entries = [item.entry for item in items]
        pixels = reader.source.read(reader.files, reader.options, recipe.task, entries)
        for item, raw in zip(items, pixels, strict=True):
            assert isinstance(raw, RawImage)
            take = decided.takes[item.take]
            yield {
                "id": item.id,
                "image": {"bytes": image.encode_png(raw.pixels), "path": f"{item.id}.png"},
                "audio": {"bytes": sounds[item.take], "path": f"{item.take}.wav"},
                "label": item.label,
                "take": item.take,
                "group": item.id,
                "duration_s": take.duration_s,
                "source": item.id,
                **take.attributes,
            }

    made = Dataset.from_generator(generate, features=Features(plain), cache_dir=str(folder / "cache"))
    made.cast(columns).to_parquet(str(folder / "train.parquet"))


def disk_mb_per_s(folder: Path, megabytes: int = 256) -> float:
    """Write speed of the disk under `folder`: random bytes, synced."""
    block = os.urandom(2**20)
    began = time.perf_counter()
    with (folder / "disk").open("wb") as file:
        for _ in range(megabytes):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return megabytes * 2**20 / 1e6 / (time.perf_counter() - began)


def measured(way: str, rows: Rows) -> tuple[float, float, float, float]:
    """Seconds by the clock and of processor, peak memory and size of the file in MB; without the imports."""
    import datasets  # noqa: F401 - both ways use it

    with tempfile.TemporaryDirectory() as name:
        planned(rows, Path(name), 1)
        began, worked = time.perf_counter(), time.process_time()
        {"xmbench": ours, "datasets": theirs}[way](rows, Path(name))
        seconds, busy = time.perf_counter() - began, time.process_time() - worked
        size = (Path(name) / "train.parquet").stat().st_size
    return seconds, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, size / 1e6


def main() -> None:
    """Runs both ways and prints the ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--recipe", default="digits-ad")
    parser.add_argument("--source", type=Path, help="the recipe's upstream files")
    chosen = parser.parse_args()
    rows, number = Rows(chosen.recipe, chosen.source, chosen.rows), chosen.rows
    found = {}
    for way in ("xmbench", "datasets"):
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found[way] = pool.submit(measured, way, rows).result()
        seconds, busy, peak, size = found[way]
        print(
            f"{way:9} {number / seconds:7,.0f} rows/s  {1e3 * seconds / number:.3f} ms a row  {seconds:6.2f} s", end=""
        )
        print(f", of processor {busy:6.2f} s  peak {peak:6,.0f} MB  file {size:7,.1f} MB, {size / seconds:5.1f} MB/s")
    times = [found["datasets"][i] / found["xmbench"][i] for i in (0, 1)]
    print(f"ratio     {times[0]:.2f} by the clock, {times[1]:.2f} of processor time; {number:,} rows, one process each")
    with tempfile.TemporaryDirectory() as name:
        print(f"disk      {disk_mb_per_s(Path(name)):,.0f} MB/s, random bytes written and synced")
    print(f"machine   {platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
