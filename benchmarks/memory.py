"""How much memory a build of joint items takes, in every process, and whether that grows with the rows.

A synthetic source gives each row an image of noise and a clip of noise, which no format makes smaller. The build runs
as `xmbench build` with two workers; the peak of every process (VmHWM, Linux) is read while it runs. `validate` follows.

    python benchmarks/memory.py --rows 20000 --side 64 --seconds 0.5
    python benchmarks/memory.py --rows 2000 --side 256 --seconds 5
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RATE_HZ = 44_100
SOURCE = '''
import numpy as np
from pydantic import BaseModel
from xmbench.interfaces import Entry, RawClip, RawImage, RawPair

class Options(BaseModel):
    rows: int

class Noise:
    """Noise to look at and to listen to."""
    name, yields, Options = "noise", frozenset({"image", "audio"}), Options
    def versions(self, options):
        return {}
    def attributes(self, options):
        return {"piece": str, "start_s": float}
    def entries(self, upstream, options, task):
        splits = ("test", *9 * ("train",))
        return [
            Entry(f"n-{i:07d}", splits[i % 10], i % 2, f"g-{i}", (i,), {"piece": "n", "start_s": i / 10})
            for i in range(options.rows)
        ]
    def read(self, upstream, options, task, entries):
        image, sound = task.image, task.audio
        for entry in entries:
            rng = np.random.default_rng(entry.locator[0])
            shape = (image.height_px, image.width_px, 3)
            pixels = np.frombuffer(rng.bytes(image.height_px * image.width_px * 3), np.uint8).reshape(shape)
            samples = np.frombuffer(rng.bytes(2 * sound.samples), "<i2") // 2
            yield RawPair(RawImage(pixels), RawClip(samples, sound.sample_rate_hz))

SOURCE = Noise()
'''
RECIPE = """
schema = "xmbench/recipe/1"
name = "noise"
version = "1"
title = "Noise"
description = "Noise."
licence = "CC0-1.0"
citation = ""
regime = "multi-take"
image = {{ height_px = {side}, width_px = {side}, mode = "RGB" }}
audio = {{ sample_rate_hz = {rate}, samples = {samples}, min_duration_s = 0.1, max_duration_s = {seconds} }}
classes = {{ names = ["a", "b"] }}
pairing = {{ method = "joint", items = "noise" }}
tracks = [{{ direction = "i2a", metrics = ["collapse"], primary = "collapse" }}]
[sources.noise]
reader = "noise"
title = "Noise"
licence = "CC0-1.0"
redistributable = true
options = {{ rows = {rows} }}
"""


def plug_in(folder: Path) -> None:
    """Writes the source as an installed package would have it."""
    about = folder / "xmbench_noise-1.0.dist-info"
    about.mkdir()
    (folder / "xmbench_noise.py").write_text(SOURCE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: xmbench-noise\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[xmbench.sources]\nnoise = xmbench_noise:SOURCE\n")


def peaks_mb(command: list[str], environment: dict[str, str]) -> tuple[list[float], float]:
    """Runs a command; peak memory in MB of its processes, the largest first, and its seconds."""
    began = time.perf_counter()
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        found: dict[int, float] = {}
        while process.poll() is None:
            for path in Path("/proc").glob("[0-9]*"):
                try:
                    if os.getpgid(int(path.name)) == process.pid:
                        status = (path / "status").read_text()
                        found[int(path.name)] = int(status.split("VmHWM:")[1].split()[0]) / 1e3
                except (OSError, IndexError):
                    continue  # it has ended
            time.sleep(0.05)
        if process.returncode:
            sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return sorted(found.values(), reverse=True), time.perf_counter() - began


def measure(rows: int, side: int, seconds: float, workers: int) -> None:
    """Builds and validates once, and prints the peaks."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plug_in(folder)
        samples = round(seconds * RATE_HZ)
        recipe = RECIPE.format(rows=rows, side=side, rate=RATE_HZ, samples=samples, seconds=seconds)
        (folder / "noise.toml").write_text(recipe)
        paths = [name, str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        xmbench = [sys.executable, "-c", "from xmbench.cli import main; main()"]
        out = ["--out", str(folder / "out"), "--workers", str(workers)]
        for said, command in (
            ("build", ["build", str(folder / "noise.toml"), *out]),
            ("validate", ["validate", str(folder / "out")]),
        ):
            found, taken_s = peaks_mb([*xmbench, *command], environment)
            shown = ", ".join(f"{peak:,.0f}" for peak in found)
            print(f"{rows:,} rows of {side} x {side} + {seconds} s: {said} {taken_s:.1f} s, peaks in MB: {shown}")


def main() -> None:
    """Measures the rows that are asked for, then twice as many."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    for rows in (chosen.rows, 2 * chosen.rows):
        measure(rows, chosen.side, chosen.seconds, chosen.workers)


if __name__ == "__main__":
    main()
