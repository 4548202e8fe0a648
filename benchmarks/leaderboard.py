"""How long boards take at 10,000 items: adding a result with everything that is checked, and writing every page.

The results have the form of one that is scored here, on a small build of `digits-ad`. Their per-item tables have the
asked size and are drawn at random; their scores are those of the tables, so that every check runs.
Run: ``python benchmarks/leaderboard.py --items 10000 --systems 6``.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xmbench import content, leaderboard, registry, runner
from xmbench.builder.build import build
from xmbench.evaluator.evaluate import items_digest
from xmbench.evaluator.outputs_digest import digest_of
from xmbench.evaluator.recompute import recomputed
from xmbench.evaluator.save import score_and_save
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import open_dataset
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe
from xmbench.formats.result import Result
from xmbench.formats.submission import Submission

TEXTS = ("class", "take", "status", "detail")


def template(folder: Path) -> Result:
    """A result of this version."""
    build(load_toml(content.find("recipes", "digits-ad"), Recipe), folder / "data", limit=20)
    dataset = open_dataset(folder / "data")
    baseline = load_toml(content.find("baselines", "white-noise"), Baseline)
    done = runner.run(baseline, dataset, folder / "run", progress=lambda line: None)
    return score_and_save(done.submission, dataset, folder / "result.json").result


def made(form: Result, number: int, items: int, folder: Path) -> Path:
    """A result and its table: `items` rows, every metric drawn around a level of its own system."""
    rng = np.random.default_rng(number)
    ids = [f"test-{i:06d}" for i in range(items)]
    columns: dict[str, list[object]] = {name: [""] * items for name in TEXTS}
    columns |= {"id": list(ids), "label": [0] * items, "status": ["ok"] * items}
    columns |= {name: list(ids) for name in ("group", "condition_group", "reference_group")}
    outputs = [hashlib.sha256(f"{number} {item}".encode()).hexdigest() for item in ids]
    columns["output_sha256"] = list(outputs)
    for name, score in form.scores.items():
        drawn = np.clip(rng.normal(0.5 + 0.01 * number, 0.1, items), 0.0, 1.0)
        columns[name] = (drawn + (score.floor or 0.0)).tolist()
        columns[f"{name}:status"] = ["ok"] * items
    table = pa.table(columns)
    scores = {name: recomputed(registry.metric(name), table) for name in form.scores}
    fields = {"track": form.track, "dataset_digest": form.dataset_digest, "data_digest": form.data_digest}
    result = form.model_copy(
        update={
            "scores": {name: score for name, score in scores.items() if score is not None},
            "submission": Submission(system=f"system {chr(97 + number)}", **fields),
            "items_digest": items_digest(table),
            "items_table": "r.items.parquet",
            "outputs_digest": digest_of(zip(ids, outputs, strict=True)),
            "bootstrap": {**form.bootstrap, "clusters": items},
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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        form = template(folder / "form")
        paths = [made(form, k, wanted.items, folder / str(k)) for k in range(wanted.systems)]
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
