"""`validate` finds what was changed behind the manifest's back, and lists all of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.builder.conftest import Corpus
from xmbench.builder.build import build
from xmbench.errors import DatasetError
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset, Manifest, open_dataset
from xmbench.formats.ledger import LedgerRow
from xmbench.inspection.validate import validate
from xmbench.media import audio, image

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def whole(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("validate") / "whole"
    build(corpus.single, folder, source=corpus.folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def opened(folder: Path) -> Dataset:
    """The data set, whatever the sizes of its shards."""
    return Dataset(folder, Manifest.model_validate_json((folder / "manifest.json").read_text()))


def rewrite(folder: Path, change: Callable[[Rows], None], split: str = "train") -> None:
    path = opened(folder).shards(split)[0]
    table = pq.read_table(path)
    rows: Rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def problems(folder: Path) -> str:
    found = validate(opened(folder))
    assert not found.holds
    return "\n".join(found.problems)


def test_a_right_data_set_holds(folder: Path) -> None:
    found = validate(open_dataset(folder))
    assert found.holds
    assert found.rows == {"train": 120, "test": 30}
    assert found.takes == {"train": 3, "test": 3}
    assert found.digest == open_dataset(folder).digest
    assert found.notes == ["single-take: 3 waveform(s) are shared by the splits, as the recipe says"]


def test_every_problem_is_listed_at_once(folder: Path) -> None:
    def change(rows: Rows) -> None:
        rows[0]["image"]["bytes"] = b"no picture"
        rows[1]["label"] = 2
        rows[2]["id"] = "Not An Id"
        rows[3]["duration_s"] = 0.9
        rows[4]["audio"]["bytes"] = audio.encode_wav(np.zeros(100, dtype=np.int16), 16000)
        rows[5]["image"]["bytes"] = image.encode_png(np.zeros((8, 8, 1), dtype=np.uint8))
        rows[7] = dict(rows[6])
        rows[8]["audio"]["bytes"] = None

    rewrite(folder, change)
    text = problems(folder)
    for said in (
        "'train-00000': not a readable image",
        "belongs to two classes",
        "'Not An Id': the id does not match",
        "'train-00003': duration 0.9 s",
        "'train-00004': 16000 Hz",
        "'train-00004': 100 samples",
        "'train-00004': a silent clip",
        "differs from other clips of the take",
        "image of shape (8, 8, 1)",
        "the id is there twice",
        "not in the order of ids",
        "'train-00008': not a readable audio file",
        "its content is not what the manifest says",
        "digest of the content",
    ):
        assert said in text, said


def test_missing_rows_are_counted(folder: Path) -> None:
    rewrite(folder, lambda rows: rows.__delitem__(slice(0, 3)))
    text = problems(folder)
    assert "train: 117 rows, the manifest says 120" in text
    assert "train, class 'zero': 39 rows, the manifest says 40" in text


def test_swapped_clips_change_the_digest_only(folder: Path) -> None:
    def change(rows: Rows) -> None:
        for row in rows:
            row["audio"]["bytes"] = (
                rows[0]["audio"]["bytes"] if row["take"] == rows[0]["take"] else row["audio"]["bytes"]
            )
        rows[0]["image"], rows[3]["image"] = rows[3]["image"], rows[0]["image"]

    rewrite(folder, change)
    assert "digest of the content" in problems(folder)


@pytest.mark.parametrize("damage", ["cut", "gone", "text", "columns", "metadata"])
def test_shards_that_cannot_be_read(folder: Path, damage: str) -> None:
    path = opened(folder).shards("test")[0]
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "gone":
        path.unlink()
    elif damage == "text":
        path.write_text("hello")
    else:
        table = pq.read_table(path)
        changed = table.drop_columns(["take"]) if damage == "columns" else table.replace_schema_metadata(None)
        pq.write_table(changed, path, store_schema=damage == "columns")
    text = problems(folder)
    assert path.name in text
    said = {"columns": "without the column(s) take", "metadata": "without the metadata", "gone": "missing"}
    assert said.get(damage, "cannot be read") in text
    with pytest.raises(DatasetError, match="damaged") as caught:
        open_dataset(folder)
    assert path.name in str(caught.value)


def test_a_group_that_crosses_splits_is_leakage(corpus: Corpus, tmp_path: Path) -> None:
    out = tmp_path / "many"
    build(corpus.many, out, source=corpus.folder)
    heard = next(opened(out).rows("train", ["audio", "group"]))

    def change(rows: Rows) -> None:
        rows[0]["group"], rows[0]["audio"] = heard["group"], heard["audio"]

    rewrite(out, change, "test")
    text = problems(out)
    assert f"the group '{heard['group']}' is in several splits" in text
    assert "one waveform is in several splits" in text


def test_documents_that_disagree(folder: Path) -> None:
    lost = LedgerRow("item", "x", "train", "zero", "read", "lost", False, False, "")
    ledger.write(folder / "ledger.parquet", [lost])
    card = folder / "README.md"
    card.write_text(card.read_text().replace("num_examples: 120", "num_examples: 119"))
    (folder / "data" / "train-extra.parquet").write_bytes(b"")
    text = problems(folder)
    assert "ledger.parquet: train, class 'zero' does not agree" in text
    assert "README.md: it says {'train': 119, 'test': 30} rows" in text
    assert "data/train-extra.parquet: not part of the data set" in text
    for name in ("ledger.parquet", "README.md"):
        (folder / name).unlink()
    text = problems(folder)
    assert "ledger.parquet: the ledger cannot be read" in text
    assert "README.md: cannot be read" in text


def test_a_ledger_that_does_not_balance(folder: Path) -> None:
    path = folder / "manifest.json"
    raw = json.loads(path.read_text())
    raw["splits"]["train"]["classes"]["one"]["planned"] += 1
    raw["recipe"]["version"] = "2"
    path.write_text(json.dumps(raw))
    text = problems(folder)
    assert "train, class 'one': 41 planned, but 40 written" in text
    assert "do not add up" in text
    assert "its recipe has the digest" in text
