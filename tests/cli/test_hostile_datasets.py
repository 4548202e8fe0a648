"""Data sets whose shards were tampered with: each command says so in one message, none hangs or fills the memory."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.test_hostile import refused
from tests.cli.test_scoring import xmbench
from tests.making import submit
from xmbench.errors import XmbenchError
from xmbench.evaluator.evaluate import score
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.items import pick_rows, read_conditions, read_examples
from xmbench.inspection.diff import compare
from xmbench.inspection.validate import open_unchecked, validate
from xmbench.views.preview import write_preview

Change = Callable[[pa.Table], pa.Table]


def replaced(name: str, column: pa.Array) -> Change:
    def change(table: pa.Table) -> pa.Table:
        at = table.column_names.index(name)
        return table.set_column(at, table.schema.field(at).with_type(column.type), column)

    return change


def bad_text(rows: int) -> pa.Array:
    offsets = pa.py_buffer(struct.pack(f"<{rows + 1}i", *(2 * i for i in range(rows + 1))))
    return pa.Array.from_buffers(pa.string(), rows, [None, offsets, pa.py_buffer(b"\xff\xfe" * rows)])


def empty_rows(table: pa.Table) -> pa.Table:
    return pa.table({field.name: pa.nulls(500_000, field.type) for field in table.schema}, schema=table.schema)


CHANGES: dict[str, Change] = {
    "ids that are no text": lambda t: replaced("id", bad_text(len(t)))(t),
    "groups that are no text": lambda t: replaced("group", bad_text(len(t)))(t),
    "no ids": lambda t: replaced("id", pa.nulls(len(t), pa.string()))(t),
    "no labels": lambda t: replaced("label", pa.nulls(len(t), pa.int64()))(t),
    "labels beyond the classes": lambda t: replaced("label", pa.array([10**9] * len(t)))(t),
    "no images": lambda t: replaced("image", pa.nulls(len(t), t.schema.field("image").type))(t),
    "no clips": lambda t: replaced("audio", pa.nulls(len(t), t.schema.field("audio").type))(t),
    "half a million empty rows": empty_rows,
    "ids of a million letters": lambda t: replaced("id", pa.array([f"{i}" + "x" * 10**6 for i in range(len(t))]))(t),
    "a dictionary that is laid out": lambda t: replaced("take", pa.array(["x" * 10**6] * len(t)))(t),
}


@pytest.fixture(scope="module")
def submission(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return submit(digits, tmp_path_factory.mktemp("of-digits") / "s")


def tampered(dataset: Dataset, folder: Path, change: Change) -> Path:
    """A copy with a changed test shard, whose size the manifest has."""
    shutil.copytree(dataset.folder, folder)
    shard = dataset.shards("test")[0]
    path = folder / shard.relative_to(dataset.folder)
    pq.write_table(change(pq.read_table(shard)), path, compression="zstd")
    manifest = json.loads((folder / "manifest.json").read_text())
    for record in manifest["shards"]:
        record["bytes"] = (folder / record["path"]).stat().st_size
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("name", CHANGES)
def test_every_reader_refuses_a_tampered_shard_in_one_message(
    digits: Dataset, submission: Path, tmp_path: Path, name: str
) -> None:
    dataset = open_dataset(tampered(digits, tmp_path / "set", CHANGES[name]))
    start = time.monotonic()
    assert not validate(open_unchecked(dataset.folder)).holds
    readers: dict[str, Callable[[], object]] = {
        "score": lambda: score(submission, dataset, metrics=["stoi"]),
        "train": lambda: read_examples(dataset, "test"),
        "generate": lambda: list(read_conditions(dataset, "test", "i2a", 8, True, True)),
        "diff": lambda: compare(digits, dataset),
        "preview": lambda: write_preview(dataset, tmp_path / "p.html"),
        "pick": lambda: pick_rows(dataset, "test", digits.table("test", []).column("id").to_pylist(), ["take"]),
    }
    said = {}
    for reader, work in readers.items():
        try:
            work()
        except XmbenchError as error:
            said[reader] = error
    assert all(error.where and len(str(error)) < 1000 for error in said.values())
    harmless = {
        "groups that are no text": {"train"},
        "no images": {"train", "generate"},  # a track of sounds reads none
        "a dictionary that is laid out": set[str](),
    }
    assert harmless.get(name, {"score", "train", "generate"}) <= said.keys()
    assert time.monotonic() - start < 30


def test_a_score_says_it_in_one_message(digits: Dataset, submission: Path, tmp_path: Path) -> None:
    folder = tampered(digits, tmp_path / "set", CHANGES["ids that are no text"])
    refused(xmbench("score", submission, "--data", folder, "--out", tmp_path / "r.json"), "where:", "do:", ".parquet")


def test_a_shard_elsewhere_or_of_another_kind_is_refused(digits: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(digits.folder, folder)
    shard = folder / digits.manifest.shards[0].path
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(XmbenchError, match="a pipe, not a file"):
        open_dataset(folder)
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace(digits.manifest.shards[0].path, "../../etc/passwd"))
    with pytest.raises(XmbenchError, match="outside the data set"):
        open_dataset(folder)


@pytest.mark.parametrize(
    "table",
    [
        pa.table({field.name: pa.nulls(300_000, field.type) for field in ledger.SCHEMA}, schema=ledger.SCHEMA),
        pa.table({field.name: pa.nulls(3, field.type) for field in ledger.SCHEMA}, schema=ledger.SCHEMA),
        pa.table({"kind": np.arange(5)}),
        ledger.SCHEMA.empty_table().drop_columns(["kind"]),
    ],
)
def test_a_ledger_that_was_tampered_with_is_a_finding(digits: Dataset, tmp_path: Path, table: pa.Table) -> None:
    folder = tmp_path / "set"
    shutil.copytree(digits.folder, folder)
    pq.write_table(table, folder / "ledger.parquet")
    lines = validate(open_unchecked(folder)).problems
    assert any("ledger.parquet: the ledger cannot be read" in line for line in lines)
