"""The same submission gives the same bytes: any number of workers, either form of storage, any order, every time."""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from threadpoolctl import threadpool_limits

from tests.making import submit
from xmbench import registry
from xmbench.evaluator.evaluate import score
from xmbench.evaluator.save import items_path, score_and_save
from xmbench.formats.dataset import Dataset


def noisy(item_id: str, label: int, reference: np.ndarray) -> np.ndarray | None:
    seed = zlib.crc32(item_id.encode())
    if seed % 13 == 0:
        return None
    if seed % 13 == 1:
        return 0 * reference
    return np.asarray(0.5 * reference + np.random.default_rng(seed).normal(0, 0.02, len(reference)))


def as_table(folder: Path, out: Path, seed: int) -> Path:
    """The same submission as one table, its rows shuffled."""
    files = sorted((folder / "outputs").iterdir())
    random.Random(seed).shuffle(files)
    out.mkdir()
    (out / "submission.json").write_bytes((folder / "submission.json").read_bytes())
    rows = {"id": [f.stem for f in files], "bytes": [f.read_bytes() for f in files]}
    pq.write_table(pa.table(rows), out / "outputs.parquet", row_group_size=7)
    return out


@pytest.fixture(scope="module")
def forms(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("forms")
    files = submit(digits, folder / "files", noisy)
    return {
        "files": files,
        "table": as_table(files, folder / "table", 1),
        "another order": as_table(files, folder / "another", 2),
    }


def document(submission: Path, digits: Dataset, folder: Path, workers: int) -> tuple[str, bytes]:
    """The result without `environment`, and the bytes of its table."""
    out = folder / "result.json"
    score_and_save(submission, digits, out, workers=workers)
    found = json.loads(out.read_text())
    del found["environment"]
    return json.dumps(found), items_path(out).read_bytes()


def test_workers_storage_order_and_repetition_change_no_byte(
    forms: dict[str, Path], digits: Dataset, tmp_path: Path
) -> None:
    runs = [("files", 1), ("files", 1), ("files", 2), ("files", 4), ("table", 1), ("table", 2), ("another order", 4)]
    first = document(forms["files"], digits, tmp_path, 1)
    assert json.loads(first[0])["scores"]["word-accuracy"]["coverage"] < 1.0
    for form, workers in runs[1:]:
        assert document(forms[form], digits, tmp_path, workers) == first, (form, workers)


def test_threads_of_the_matrix_library_change_no_digit(
    digits: Dataset, forms: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many items a product on two threads takes its sums in another order; 40 are made many here."""
    real = registry.metric("stoi")
    rng = np.random.default_rng(0)
    many = rng.random((10_000, 6))

    def reduce(self: object, states: np.ndarray, weights: np.ndarray) -> np.ndarray:
        rows = np.resize(weights, (len(weights), len(many)))
        return np.asarray(rows @ many[:, 0] / rows.sum(axis=1))

    monkeypatch.setattr(type(real), "reduce", reduce)
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            scored = score(forms["files"], digits, metrics=["stoi"])
        found.append(scored.result.scores["stoi"])
    assert found[0] == found[1]
