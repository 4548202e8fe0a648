"""Results as a user makes them, and as a hostile one changes them by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.making import submit
from xmbench import content, leaderboard, runner
from xmbench.errors import DocumentError
from xmbench.evaluator.evaluate import items_digest
from xmbench.evaluator.outputs_digest import digest_of
from xmbench.evaluator.save import items_path, score_and_save
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml

Edit = Callable[[dict[str, Any]], object]
Make = Callable[[str, int, Any], Any]


def hiss(level: float) -> Make:
    """The reference with white noise at a level in dB under its power."""

    def make(item_id: str, label: int, reference: Any) -> Any:
        rng = np.random.default_rng(int(item_id.split("-")[-1]))
        return reference + rng.normal(0, 10 ** (level / 20) * np.sqrt(np.mean(reference**2)), len(reference))

    return make


def noisy(level: float) -> Make:
    def make(item_id: str, label: int, reference: Any) -> Any:
        rng = np.random.default_rng(int(item_id.split("-")[-1]))
        return 0.5 * reference + rng.normal(0, level, len(reference))

    return make


def ran(name: str, digits: Dataset, folder: Path) -> Path:
    """A baseline's result, run and scored as a user would."""
    baseline = load_toml(content.find("baselines", name), Baseline)
    done = runner.run(baseline, digits, folder / "run", progress=lambda line: None)
    score_and_save(done.submission, digits, folder / "result.json")
    return folder / "result.json"


def scored(digits: Dataset, folder: Path, make: Any, **fields: Any) -> Path:
    score_and_save(submit(digits, folder / "submission", make, **fields), digits, folder / "result.json")
    return folder / "result.json"


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def edited(
    path: Path, folder: Path, edit: Edit, table: Callable[[pa.Table], pa.Table] = lambda t: t, *, outputs: str = "other"
) -> Path:
    """A copy of a result and its table, changed by hand so that every digest fits; its outputs are others."""
    folder.mkdir()
    items = table(pq.read_table(items_path(path)))
    if outputs:
        sent = [hashlib.sha256(f"{folder}".encode()).hexdigest(), *items.column("output_sha256").to_pylist()[1:]]
        items = items.set_column(items.column_names.index("output_sha256"), "output_sha256", pa.array(sent))
    data = json.loads(path.read_text())
    edit(data)
    data["items_digest"] = items_digest(items)
    pairs = zip(items.column("id").to_pylist(), items.column("output_sha256").to_pylist(), strict=True)
    data["outputs_digest"] = digest_of(pairs)
    (folder / path.name).write_text(json.dumps(data))
    pq.write_table(items, items_path(folder / path.name))
    return folder / path.name


def refused(root: Path, path: Path, **options: Any) -> str:
    """The message; the boards are the same bytes as before."""
    before = contents(root)
    with pytest.raises(DocumentError) as caught:
        leaderboard.add(root, path, **options)
    assert contents(root) == before
    return "\n".join([str(caught.value), *caught.value.problems])


def named(name: str, **fields: Any) -> Edit:
    def edit(data: dict[str, Any]) -> None:
        data["submission"].update(system=name, **fields)

    return edit


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[pa.Table], pa.Table]:
    def table(items: pa.Table) -> pa.Table:
        values = change(items.column(name).to_numpy().copy())
        return items.set_column(items.column_names.index(name), name, pa.array(values))

    return table
