"""What `xmbench score` costs beside the PESQ C code, and how much faster it is than the plain libraries.

Builds `digits-ad`, makes distinct noisy outputs, then measures in turn: the PESQ C code alone (narrow and wide band)
on the same pairs with as many processes; the whole `score` with every metric that needs no judge, from starting its
processes to the finished result; a plain loop over `pesq`, `pystoi` and `scipy.signal.lfilter` on one core. Other load
on the machine falls on all of them; the share by CPU time hardly feels it.
Run: ``python benchmarks/score.py --items 360 --workers 2``, or ``--items 10000 --source MNIST --repeats 1``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmbench import content, registry
from xmbench.evaluator.evaluate import score
from xmbench.evaluator.judge import load_judges
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml
from xmbench.formats.items import read_clip
from xmbench.formats.recipe import Recipe
from xmbench.formats.submission import OUTPUT_FOLDER, SUBMISSION_FILE, Submission
from xmbench.interfaces import judges_of
from xmbench.measures.auditory_spectrogram import FRAME_SAMPLES, cochlear_filters
from xmbench.measures.corr2d import compress, correlation2d
from xmbench.media import audio

RATE_HZ = 16_000
CHUNK = 16
PLAIN_ITEMS = 24  # the plain loop takes a quarter of a second per item

Clip = NDArray[np.float32]
ClipPair = tuple[Clip, Clip]


@dataclass(frozen=True)
class Spent:
    """Seconds of one run: on the wall, and of all its processes."""

    wall: float
    cpu: float


def test_set(folder: Path, items: int, source: Path | None) -> Dataset:
    """`digits-ad` with `items` test items; `mnist-ad` where its files are at hand."""
    from xmbench.builder.build import build

    if source:
        recipe = load_toml(content.find("recipes", "mnist-ad"), Recipe)
        return build(recipe, folder, source=source, limit=items)
    recipe = load_toml(content.find("recipes", "digits-ad"), Recipe)
    splits = recipe.splits.model_copy(update={"test_fraction": 0.2 if items <= 300 else 0.9})
    return build(recipe.model_copy(update={"splits": splits}), folder, limit=items, workers=1)


def submit(dataset: Dataset, folder: Path) -> list[ClipPair]:
    """Writes a distinct noisy output per item; returns (reference, output) at the data set's rate."""
    (folder / OUTPUT_FOLDER).mkdir(parents=True)
    rng, pairs = np.random.default_rng(0), []
    rate = dataset.recipe.audio.sample_rate_hz
    for row in dataset.rows("test", ["audio"]):
        reference = audio.to_float(read_clip(row, dataset))
        noisy = 0.6 * reference + rng.normal(0.0, 0.01, len(reference))
        stored = audio.to_int16(noisy)
        (folder / OUTPUT_FOLDER / f"{row['id']}.wav").write_bytes(audio.encode_wav(stored, rate))
        pairs.append((reference, audio.to_float(stored)))
    submission = Submission(
        track=dataset.recipe.track_id("i2a"),
        data_digest=dataset.manifest.data_digest,
        dataset_digest=dataset.digest,
        system="noisy references",
    )
    (folder / SUBMISSION_FILE).write_text(submission.to_json())
    return pairs


def wide(clip: Clip, rate: int) -> Clip:
    """At 16 kHz, as the metrics resample."""
    return audio.resample(clip, rate, RATE_HZ)


def pesq_alone(pairs: list[ClipPair]) -> float:
    """The C code on pairs at 16 kHz, narrow and wide band; returns its CPU seconds."""
    from pesq import pesq

    start = time.process_time()
    for reference, output in pairs:
        pesq(RATE_HZ, reference, output, "nb")
        pesq(RATE_HZ, reference, output, "wb")
    return time.process_time() - start


def time_pesq(pairs: list[ClipPair], workers: int) -> Spent:
    """The C code alone in processes that are already there."""
    chunks = [pairs[i : i + CHUNK] for i in range(0, len(pairs), CHUNK)]
    with ExitStack() as stack:
        run: Callable[..., Any] = map
        if workers > 1:
            pool = stack.enter_context(ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")))
            run = pool.map
        list(run(pesq_alone, [pairs[:1]] * 4 * workers))
        start = time.perf_counter()
        cpu = sum(run(pesq_alone, chunks))
        return Spent(time.perf_counter() - start, cpu)


def cpu_seconds() -> float:
    """Of this process and its finished children."""
    while multiprocessing.active_children():
        time.sleep(0.01)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def time_score(folder: Path, dataset: Dataset, metrics: list[str], workers: int) -> Spent:
    """The whole of `score`, with the start of its processes."""
    before, start = cpu_seconds(), time.perf_counter()
    result = score(folder, dataset, metrics=metrics, workers=workers).result
    wall = time.perf_counter() - start
    if any(found.coverage < 1.0 for name, found in result.scores.items() if name != "stoi-strict"):
        raise SystemExit("some outputs could not be scored: the comparison would be unfair")
    return Spent(wall, cpu_seconds() - before)


def judging_gain(folder: Path, dataset: Dataset, workers: int, repeats: int) -> float:
    """How many times faster the track's judges are with `workers` processes than in this one, on the wall."""
    track = dataset.recipe.track("i2a")
    assert track is not None
    names = [name for name in track.metrics if judges_of(registry.metric(name))]
    first, second = load_judges(dataset, track)
    walls: dict[int, list[float]] = {1: [], workers: []}
    for count in [1, workers] * repeats:  # in turn, so that other load falls on both
        start = time.perf_counter()
        score(folder, dataset, metrics=names, workers=count, judge=first, second_judge=second)
        walls[count].append(time.perf_counter() - start)
    return min(walls[1]) / min(walls[workers])


def plain_spectrogram(x: Clip) -> NDArray[np.float64]:
    """The definition with `lfilter`: filter, difference, rectifier and integrator at every sample."""
    from scipy.signal import lfilter

    padded = np.pad(x, (0, -len(x) % FRAME_SAMPLES))
    filtered = np.stack([lfilter(b, a, padded) for b, a in cochlear_filters()])
    rectified = np.maximum(filtered[:-1] - filtered[1:], 0.0)
    smooth = lfilter([1.0], [1.0, -np.exp(-1 / FRAME_SAMPLES)], rectified, axis=1)
    return np.asarray(smooth[:, FRAME_SAMPLES - 1 :: FRAME_SAMPLES])


def time_plain(pairs: list[ClipPair], rate: int) -> float:
    """CPU seconds per item of the plain libraries on one core."""
    from pystoi import stoi

    start = time.process_time()
    for reference, output in pairs:
        x, y = wide(reference, rate), wide(output, rate)
        pesq_alone([(x, y)])
        stoi(reference, output, rate)
        stoi(reference, output, rate, extended=True)
        a, b = plain_spectrogram(x), plain_spectrogram(y)
        correlation2d(compress(a), compress(b))
        correlation2d(a, b)
    return (time.process_time() - start) / len(pairs)


def measure(items: int, workers: int, repeats: int, source: Path | None, work: Path) -> None:
    """Builds, measures, prints."""
    dataset = test_set(work / "data", items, source)
    rate = dataset.recipe.audio.sample_rate_hz
    pairs = submit(dataset, work / "submission")
    track = dataset.recipe.track("i2a")
    assert track is not None
    metrics = [name for name in track.metrics if not judges_of(registry.metric(name))]
    pairs_16k = [(wide(reference, rate), wide(output, rate)) for reference, output in pairs]
    time_score(work / "submission", dataset, metrics, workers)  # compiles what is not yet compiled
    runs = [
        (time_pesq(pairs_16k, workers), time_score(work / "submission", dataset, metrics, workers))
        for _ in range(repeats)
    ]
    pesq_wall, score_wall = min(p.wall for p, _ in runs), min(s.wall for _, s in runs)
    pesq_cpu, score_cpu = min(p.cpu for p, _ in runs), min(s.cpu for _, s in runs)
    plain = time_plain(pairs[:PLAIN_ITEMS], rate)
    count = len(pairs)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, python {platform.python_version()}")
    print(f"{count} items, {workers} workers, metrics: {', '.join(metrics)}; best of {repeats}")
    print(f"{'':24}{'wall':>10}{'items/s':>9}{'CPU per item':>15}")
    print(f"{'PESQ C code alone':24}{pesq_wall:8.2f} s{count / pesq_wall:9.1f}{1e3 * pesq_cpu / count:12.2f} ms")
    print(f"{'score':24}{score_wall:8.2f} s{count / score_wall:9.1f}{1e3 * score_cpu / count:12.2f} ms")
    print(f"{'plain loop, one core':24}{plain * count:8.2f} s{1 / plain:9.1f}{1e3 * plain:12.2f} ms")
    wall, cpu = 1 - pesq_wall / score_wall, 1 - pesq_cpu / score_cpu
    print(f"not PESQ: {wall:.1%} of the wall time, {cpu:.1%} of the CPU time")
    wall, cpu = plain * count / score_wall, plain * count / score_cpu
    print(f"plain loop / score: {wall:.1f} by wall time, {cpu:.1f} by CPU time")
    gain = judging_gain(work / "submission", dataset, workers, repeats)
    print(f"judging: {workers} workers {gain:.2f} times as fast as one, with their start")


def main() -> None:
    """Reads the command line and measures in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=360, help="test items, up to 1,600; to 10,000 of MNIST")
    parser.add_argument("--source", type=Path, help="folder with the files of MNIST")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as work:
        measure(options.items, options.workers, options.repeats, options.source, Path(work))


if __name__ == "__main__":
    main()
