"""A shard of the right size with other content is found before anything is scored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.test_scoring import xmbench
from tests.making import submit
from xmbench.errors import DatasetError
from xmbench.evaluator.evaluate import score
from xmbench.evaluator.save import score_and_save
from xmbench.evaluator.verify import verify
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.intact import require_intact


def exchanged(digits: Dataset, folder: Path, column: str, split: str = "test") -> Dataset:
    """A copy of the data set in which the first two rows have each other's value, and all sizes fit."""
    copy = Path(shutil.copytree(digits.folder, folder))
    path = next((copy / "data").glob(f"{split}-*"))
    table = pq.read_table(path)
    rows = table.column(column).to_pylist()
    rows[0], rows[1] = rows[1], rows[0]
    place = table.column_names.index(column)
    changed = table.set_column(place, table.schema.field(place), pa.array(rows, table.schema.field(place).type))
    pq.write_table(changed, path)
    manifest = json.loads((copy / "manifest.json").read_text())
    for shard in manifest["shards"]:
        shard["bytes"] = (copy / shard["path"]).stat().st_size
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return open_dataset(copy)


@pytest.mark.parametrize("column", ["audio", "image", "label", "id"])
def test_every_exchange_of_two_values_is_found(digits: Dataset, tmp_path: Path, column: str) -> None:
    require_intact(digits, "test")
    changed = exchanged(digits, tmp_path / "d", column)
    with pytest.raises(DatasetError, match="was changed") as caught:
        require_intact(changed, "test")
    assert caught.value.problems[0].startswith("data/test-00000-of-00001.parquet: its content has the sha256")
    require_intact(changed, "train")


def test_score_and_verify_stop_before_they_measure(digits: Dataset, tmp_path: Path) -> None:
    sent = submit(digits, tmp_path / "s")
    score_and_save(sent, digits, tmp_path / "r.json", metrics=["stoi"])
    changed = exchanged(digits, tmp_path / "d", "audio")
    with pytest.raises(DatasetError, match="was changed"):
        score(sent, changed, metrics=["stoi"])
    with pytest.raises(DatasetError, match="was changed"):
        verify(tmp_path / "r.json", sent, changed)
    done = xmbench("score", sent, "--data", changed.folder, "--out", tmp_path / "x.json", "--metrics", "stoi")
    assert done.returncode == 2
    assert "data/test-00000-of-00001.parquet" in done.stderr
    assert "xmbench build" in done.stderr
    assert not (tmp_path / "x.json").exists()


def test_a_changed_training_split_is_no_matter_of_the_scores(digits: Dataset, tmp_path: Path) -> None:
    changed = exchanged(digits, tmp_path / "d", "audio", split="train")
    assert score(submit(digits, tmp_path / "s"), changed, metrics=["stoi"]).problems == ()
