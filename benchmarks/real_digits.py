"""Real spoken digits against themselves: how many of them each library can score at all.

Reads every wav of a folder (the recordings of the free-spoken-digit-dataset), resamples to 16 kHz, compares each clip
with itself by `pystoi`, `pesq` and xmbench, and prints one table. A perfect STOI is 1; pystoi answers 1e-5 where it has
too few frames, pesq raises an error.
Run: ``python benchmarks/real_digits.py path/to/free-spoken-digit-dataset/recordings``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

RATE_HZ = 16_000
SENTINEL = 1e-5
PADDED_S = 0.823  # the fixed length of the digit sets: an output and its reference are padded to it at the end
OURS = ("stoi", "estoi", "corr2d", "pesq", "pesq-wb")

Row = dict[str, float | None]


def measure(path: Path) -> Row:
    """One clip against itself by every library; None where there is no value."""
    import pesq
    from pystoi import stoi

    import xmbench
    from xmbench.media import audio

    samples, rate = audio.decode(path.read_bytes())
    clip = audio.resample(np.ascontiguousarray(samples[:, 0]), rate, RATE_HZ)
    row: Row = {"seconds": len(samples) / rate}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, extended in (("stoi", False), ("estoi", True)):
            value = float(stoi(clip, clip, RATE_HZ, extended=extended))
            row[f"stock {name}"] = None if value == SENTINEL else value
        for name, mode in (("pesq", "nb"), ("pesq-wb", "wb")):
            try:
                row[f"stock {name}"] = float(pesq.pesq(RATE_HZ, clip, clip, mode))
            except (pesq.PesqError, ValueError):
                row[f"stock {name}"] = None
    padded = audio.fit_length(clip, max(len(clip), round(PADDED_S * RATE_HZ)))
    for kind, sound in (("as recorded", clip), ("padded", padded)):
        found: dict[str, Any] = xmbench.score_pair(sound, sound, RATE_HZ)
        row.update({f"{kind} {name}": found[name] for name in OURS})
    return row


def line(rows: list[Row], kind: str, name: str, shown: str) -> str:
    """One row of the table: coverage, mean and range of the values there are."""
    values = [value for row in rows if (value := row[f"{kind} {name}"]) is not None]
    missing = len(rows) - len(values)
    ends = f"{min(values):.6f} .. {max(values):.6f}" if values else "-"
    return f"| {shown} | {len(values):,} | {missing:,} ({missing / len(rows):.1%}) | {ends} |"


def main() -> None:
    """Reads the command line, measures in processes, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("recordings"))
    parser.add_argument("--limit", type=int, help="only so many, evenly spread")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    paths = sorted(options.folder.glob("*.wav"))
    if not paths:
        print(f"no recordings in {options.folder}: name the folder (free-spoken-digit-dataset/recordings)")
        return
    paths = paths[:: max(1, len(paths) // options.limit)][: options.limit] if options.limit else paths
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        rows = list(pool.map(measure, paths, chunksize=16))
    seconds = sorted(float(row["seconds"] or 0.0) for row in rows)
    print(f"{len(rows):,} recordings, {seconds[0]:.2f} to {seconds[-1]:.2f} s, median {seconds[len(rows) // 2]:.2f} s")
    print("| each clip against itself | scored | not scored | values |\n|---|---|---|---|")
    for name, library in (("stoi", "pystoi"), ("estoi", "pystoi"), ("pesq", "pesq, nb"), ("pesq-wb", "pesq, wb")):
        print(line(rows, "stock", name, f"{name}, the library `{library.split(',')[0]}`"))
        print(line(rows, "as recorded", name, f"{name}, xmbench"))
        if name.startswith("pesq"):
            print(line(rows, "padded", name, f"{name}, xmbench, at the set's fixed length"))
    print(line(rows, "as recorded", "corr2d", "corr2d, xmbench"))


if __name__ == "__main__":
    main()
