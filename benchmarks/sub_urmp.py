"""A corpus of the full size of Sub-URMP, built by its recipe: time, and the peak memory of every process.

The corpus is synthetic, in the layout and with the numbers of the release: 80,805 frames of 1080 x 1920 as JPEG (some
hundred different pictures, no two files alike) and as many chunks of half a second at 44.1 kHz. `xmbench build`, then
`validate` if asked for, then the arrays that training reads: decoded once, and opened again in another process, with
the spectrograms of the sounds.

    python benchmarks/sub_urmp.py --folder DIR --workers 1        # about 9 GB of disk; --channels 2, as released: 13 GB
    python benchmarks/sub_urmp.py --share 0.02                    # a fiftieth of it
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from memory import peaks_mb
from numpy.typing import NDArray
from PIL import Image

from xmbench.builder.plan import load_recipe

RATE_HZ, WINDOW, STRIDE = 44_100, 22_050, 4_410
WIDTH = 1920
PICTURES = 300
TAKE = 1_000  # windows of one take at most
XMBENCH = [sys.executable, "-c", "from xmbench.cli import main; main()"]
OPEN = """
import sys, time
from pathlib import Path
from xmbench.formats.dataset import open_dataset
from xmbench.runner.examples import open_examples
def told(what, began):
    print(f"{what}: {time.perf_counter() - began[0]:.2f} s, {time.process_time() - began[1]:.2f} s of processor time")
began = time.perf_counter(), time.process_time()
dataset = open_dataset(Path(sys.argv[1]))
examples = open_examples(dataset, lambda line: None)
told(f"{len(examples.ids):,} training pairs", began)
from xmbench.baselines._adversarial import Spectrograms
began = time.perf_counter(), time.process_time()
made = Spectrograms(examples, dataset.recipe.task, "native", "cpu")
told("spectrograms of the clips", began)
"""


def pictures(height_px: int) -> list[bytes]:
    """Distinct frames: soft blobs, which compress as a lit stage does."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(PICTURES):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 16, 3), dtype=np.uint8))
        stream = io.BytesIO()
        coarse.resize((WIDTH, height_px), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=50)
        made.append(stream.getvalue())
    return made


def with_comment(jpeg: bytes, text: str) -> bytes:
    """The picture with a comment: other bytes, the same pixels."""
    said = text.encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(said) + 2) + said + jpeg[2:]


def wav(samples: NDArray[np.int16], channels: int) -> bytes:
    """A 16-bit file; every channel is the same."""
    data = np.repeat(samples, channels).astype("<i2").tobytes()
    form = (b"fmt ", 16, 1, channels, RATE_HZ, 2 * channels * RATE_HZ, 2 * channels, 16, b"data", len(data))
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", *form) + data


def takes(share: float) -> Iterator[tuple[str, str, int, int]]:
    """Split, instrument, number of the take and its windows, as many as were released."""
    published = load_recipe("sub-urmp").sources["performances"].options["published"]
    number: dict[str, int] = {}
    for split, directory in (("train", "train"), ("test", "validation")):
        for name, released in published[split].items():
            left = max(1, round(share * released))
            while left > 0:
                number[name] = number.get(name, -1) + 1
                yield directory, name, number[name], min(left, TAKE)
                left -= TAKE


def write_corpus(root: Path, chosen: argparse.Namespace) -> int:
    """Writes the release's layout; returns the number of pairs."""
    frames, done = pictures(chosen.height), 0
    for split, name, take, windows in takes(chosen.share):
        rng = np.random.default_rng(done)
        time_s = np.arange(windows * STRIDE + WINDOW) / RATE_HZ
        tone = np.sin(2 * np.pi * (200 + 40 * take + 30 * np.sin(time_s)) * time_s)
        played = (6_000 * tone + rng.normal(0, 60, len(tone))).astype(np.int16)
        instrument = name.replace(" ", "_").replace("-", "_")
        places = {kind: root / kind / split / instrument for kind in ("img", "chunk")}
        for place in places.values():
            place.mkdir(parents=True, exist_ok=True)
        for i in range(windows):
            stem = f"{instrument}{take:02d}_{100 * i}"
            picture = with_comment(frames[(done + i) % PICTURES], stem)
            (places["img"] / f"{stem}.jpg").write_bytes(picture)
            (places["chunk"] / f"{stem}.wav").write_bytes(
                wav(played[i * STRIDE : i * STRIDE + WINDOW], chosen.channels)
            )
        done += windows
    return done


def size_gb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


def run(said: str, command: list[str], environment: dict[str, str]) -> None:
    """Runs a command of xmbench and prints its time and the peaks of its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found, taken_s = peaks_mb([*XMBENCH, *command], environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    shown = ", ".join(f"{peak:,.0f}" for peak in found if peak > 60)
    print(f"{said}: {taken_s:.1f} s, {busy_s:.1f} s of processor time, peaks in MB: {shown}", flush=True)


def measure(folder: Path, chosen: argparse.Namespace) -> None:
    environment = {**os.environ, "XMBENCH_CACHE": str(folder / "cache")}
    began = time.perf_counter()
    pairs = write_corpus(folder / "Sub-URMP", chosen)
    taken_s = time.perf_counter() - began
    print(f"{pairs:,} pairs, {size_gb(folder):.2f} GB, written in {taken_s:.0f} s; load {os.getloadavg()}", flush=True)
    out = folder / "out"
    build = ["build", "sub-urmp", "--source", str(folder), "--accept-changed-sources", "--out", str(out)]
    run("build", [*build, "--workers", str(chosen.workers)], environment)
    print(f"data set: {size_gb(out):.2f} GB", flush=True)
    shutil.rmtree(folder / "Sub-URMP")
    if chosen.validate:
        run("validate", ["validate", str(out)], environment)
    for said in ("decoded once", "opened again"):
        done = subprocess.run(
            [sys.executable, "-c", OPEN, str(out)], env=environment, check=True, capture_output=True, text=True
        )
        print(f"{said}: {done.stdout.strip()}", flush=True)


def main() -> None:
    """Measures once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    parser.add_argument("--share", type=float, default=1.0, help="of the release")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--channels", type=int, default=1, help="of the chunks; the release has 2")
    parser.add_argument("--height", type=int, default=1080, help="of the frames: with few pixels the rest is measured")
    parser.add_argument("--validate", action="store_true")
    chosen = parser.parse_args()
    if chosen.folder:
        chosen.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        measure(Path(name), chosen)


if __name__ == "__main__":
    main()
