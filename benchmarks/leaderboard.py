"""How long boards take at 10,000 items: taking a result in with its paired comparisons, and writing every page.

The results are the repository's own of one board, with per-item tables of the asked size drawn at random; their scores
are made to agree, so that every check runs. Goal: under 2 seconds each.
Run: ``python benchmarks/leaderboard.py --items 10000 --systems 6``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xmbench import leaderboard
from xmbench.evaluator.evaluate import items_digest
from xmbench.formats.result import Result

ROOT = Path(__file__).resolve().parent.parent
FIXED = ("id", "label", "class", "group", "take", "output_sha256", "status", "detail")


def made(template: Result, number: int, items: int, folder: Path) -> Path:
    """A result and its table: `items` rows, every metric drawn around a level of its own system."""
    rng = np.random.default_rng(number)
    ids = [f"test-{i:06d}" for i in range(items)]
    columns: dict[str, list[object]] = {name: [""] * items for name in FIXED}
    columns |= {"id": list(ids), "group": list(ids), "label": [0] * items, "status": ["ok"] * items}
    scores = {}
    for name, score in template.scores.items():
        values = np.clip(rng.normal(0.5 + 0.01 * number, 0.1, items), 0.0, 1.0) + (
            0.0 if score.whole_set else score.floor or 0.0
        )
        columns[name] = values.tolist()
        columns[f"{name}:status"] = ["ok"] * items
        mean, half = float(values.mean()), 1.96 * float(values.std()) / items**0.5
        counts = {"value": mean, "low": mean - half, "high": mean + half, "n": items, "coverage": 1.0}
        scores[name] = score.model_copy(update={**counts, "statuses": {"ok": items}})
    table = pa.table(columns)
    system = template.submission.model_copy(update={"system": f"system {number}", "kind": "learned"})
    result = template.model_copy(
        update={
            "scores": scores,
            "submission": system,
            "items_digest": items_digest(table),
            "items_table": "r.items.parquet",
            "outputs_digest": f"{number:064x}",
            "limit": None,
        }
    )
    folder.mkdir(parents=True)
    pq.write_table(table, folder / "r.items.parquet", compression="zstd")
    (folder / "r.json").write_text(result.to_json())
    return folder / "r.json"


def main() -> None:
    """Makes, adds, builds, and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--systems", type=int, default=6)
    wanted = parser.parse_args()
    template = leaderboard.load(ROOT / "leaderboards").results[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [made(template, k, wanted.items, folder / str(k)) for k in range(wanted.systems)]
        taken = []
        for path in paths:
            started = time.perf_counter(), time.process_time()
            leaderboard.add(folder / "boards", path)
            taken.append((time.perf_counter() - started[0], time.process_time() - started[1]))
        started = time.perf_counter(), time.process_time()
        leaderboard.build(folder / "boards")
        built = time.perf_counter() - started[0], time.process_time() - started[1]
    total = sum(cpu for _, cpu in taken)
    print(f"{wanted.systems} systems, {wanted.items:,} items; seconds on the wall / of the processor")
    print(f"add, the last one with {wanted.systems - 1} comparisons: {taken[-1][0]:.2f} / {taken[-1][1]:.2f}")
    print(f"add, all: {sum(wall for wall, _ in taken):.2f} / {total:.2f}")
    print(f"build:    {built[0]:.2f} / {built[1]:.2f}")


if __name__ == "__main__":
    main()
