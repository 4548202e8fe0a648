"""Joint items: an entry is an image with its own clip, with columns of its own, and read in the worker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.builder import windows
from tests.builder.windows import recipe
from tests.plugins import plug_in
from xmbench.builder import estimate, shard_writer, shards
from xmbench.builder.build import build
from xmbench.builder.retry import retry
from xmbench.errors import DatasetError, DocumentError, UpstreamError
from xmbench.formats import ledger
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.items import read_examples
from xmbench.formats.recipe import Recipe
from xmbench.inspection import diff
from xmbench.inspection.validate import validate
from xmbench.views.preview import write_preview


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(shards, "SHARD_ROWS", 12)
    return plug_in(monkeypatch, tmp_path / "plugin", "windows", windows.SOURCE, group="xmbench.sources")


@pytest.fixture
def built(source: ModuleType, tmp_path: Path) -> Dataset:
    return build(recipe(), tmp_path / "built")


def test_each_item_has_its_own_clip_group_and_columns(built: Dataset) -> None:
    assert {split: built.count(split) for split in ("train", "test")} == {"train": 32, "test": 16}
    rows = list(built.rows("train", ["take", "group", "label", "piece", "start_s", "part", "duration_s", "source"]))
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    for row in rows:
        piece, window = int(row["id"][1:3]), int(row["id"][4:])
        assert (row["take"], row["group"], row["label"]) == (row["id"], f"piece-{piece}", piece % 3)
        assert (row["piece"], row["start_s"], row["part"]) == (f"Piece {piece}", window / 10, piece + 1)
        assert row["duration_s"] == 0.4
        assert row["source"] == f"windows/{row['id']}"
    examples = read_examples(built)
    assert examples.images.shape == (32, 16, 16, 3)
    assert examples.clips.shape == (32, 4000)
    assert validate(built).problems == []


def test_columns_have_the_declared_types_in_every_shard(built: Dataset) -> None:
    from datasets import load_dataset

    for path in (built.folder / "data").iterdir():
        columns = pq.read_schema(path)
        types = [columns.field(name).type for name in ("piece", "start_s", "part")]
        assert types == [pa.string(), pa.float64(), pa.int64()]
    features = load_dataset("parquet", data_dir=str(built.folder / "data"))["train"].features
    assert (features["start_s"].dtype, features["part"].dtype) == ("float64", "int64")
    card = (built.folder / "README.md").read_text()
    assert "| `start_s` | float64 |" in card
    assert "the clip that belongs to it" in card


def test_a_group_is_kept_in_one_shard(source: ModuleType, built: Dataset) -> None:
    """Shards of 12 rows at most would cut pieces of 8 in the middle."""
    for path in (built.folder / "data").iterdir():
        assert pq.read_table(path, columns=["group"])["group"].to_pylist() == 8 * [f"piece-{_piece(path)}"]


def _piece(path: Path) -> int:
    return int(pq.read_table(path, columns=["id"])["id"][0].as_py()[1:3])


def test_row_groups_are_cut_by_bytes(source: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_writer, "GROUP_BYTES", 3 * (16 * 16 * 3 + 2 * 4000))
    dataset = build(recipe(), tmp_path / "out")
    file = pq.ParquetFile(dataset.shards("test")[0])
    assert [file.metadata.row_group(i).num_rows for i in range(2)] == [3, 3]
    assert validate(dataset).problems == []


def test_neither_shards_nor_a_second_build_change_the_digest(
    source: ModuleType, built: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(built.manifest.shards) > 2
    monkeypatch.setattr(shards, "SHARD_ROWS", 10_000)
    other = build(recipe(), tmp_path / "other")
    assert len(other.manifest.shards) == 2
    assert other.digest == built.digest
    found = diff.compare(built, other)
    assert found.equal
    assert found.kinds == {}


def test_items_out_of_the_recipes_range_stand_in_the_ledger(source: ModuleType, tmp_path: Path) -> None:
    source.broken.update({"p00-003", "p02-001"})
    dataset = build(recipe(), tmp_path / "out")
    rows = ledger.read(dataset.folder / "ledger.parquet")
    assert {(row.id, row.split, row.reason, row.filtered) for row in rows} == {
        ("p00-003", "train", "too-short", True),
        ("p02-001", "test", "too-short", True),
    }
    assert validate(dataset).problems == []


def test_retry_reads_again_what_failed_for_a_while(source: ModuleType, built: Dataset, tmp_path: Path) -> None:
    source.down.update({"p00-003", "p05-001"})
    part = build(recipe(), tmp_path / "out")
    assert validate(part).problems == []
    source.down.remove("p00-003")
    done = retry(part.folder)
    assert (done.due, done.left, done.shards) == (2, 1, 2)
    source.down.clear()
    assert retry(part.folder).dataset.digest == built.digest


def test_retry_leaves_the_data_set_alone_where_rows_would_be_lost(source: ModuleType, tmp_path: Path) -> None:
    source.down.add("p00-003")
    part = build(recipe(), tmp_path / "out")
    source.down.clear()
    source.down.add("p00-004")
    before = {path: path.read_bytes() for path in part.folder.glob("data/*")}
    with pytest.raises(UpstreamError, match="could not be read again"):
        retry(part.folder)
    assert open_dataset(part.folder).digest == part.digest
    assert {path: path.read_bytes() for path in part.folder.glob("data/*")} == before


def test_only_the_damaged_shard_is_read_again(source: ModuleType, built: Dataset) -> None:
    shard = built.shards("train")[0]
    wanted = pq.read_table(shard, columns=["id"])["id"].to_pylist()
    shard.unlink()
    source.read.clear()
    assert build(recipe(), built.folder).digest == built.digest
    assert source.read == wanted


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.builder.windows import recipe
from xmbench.builder import rows, shards
from xmbench.builder.build import build
shards.SHARD_ROWS = 12
left = int(sys.argv[2])
encode, move = rows.image.encode_png, Path.replace
def dying(call):
    def made(*arguments):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments)
    return made
if left > 0:
    rows.image.encode_png = dying(encode)
else:
    left = -left
    Path.replace = dying(move)
build(recipe(), Path(sys.argv[1]), workers=1)
"""


@pytest.mark.parametrize("moment", [1, 30, -2, -7])
def test_a_killed_build_is_finished_by_the_same_command(
    source: ModuleType, built: Dataset, tmp_path: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'plugin'}:{Path(__file__).parents[2]}")
    command = [sys.executable, "-c", KILLED, str(out), str(moment)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    with pytest.raises(DatasetError, match="not finished"):
        open_dataset(out)
    source.read.clear()
    dataset = build(recipe(), out)
    assert dataset.digest == built.digest
    assert validate(dataset).problems == []
    assert {path.name for path in out.iterdir()} == {"README.md", "data", "ledger.parquet", "manifest.json"}
    if moment == 30:
        assert len(source.read) < 48


# ----------------------------------------------------------------------------------------------- mistakes
def test_a_group_in_both_splits_is_refused(source: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="are in both splits") as caught:
        build(recipe(grouped=False), tmp_path / "out")
    assert "'piece-0'" in str(caught.value)
    raw = recipe(grouped=False).model_dump(mode="json", by_alias=True)
    raw["splits"] = {"method": "stratified", "test_fraction": 0.3}
    assert validate(build(Recipe.model_validate(raw), tmp_path / "out")).problems == []


def test_a_column_that_was_not_declared_is_refused(source: ModuleType, tmp_path: Path) -> None:
    type(source.ENGINE).attributes = lambda self, options: {"piece": str, "start_s": float}
    with pytest.raises(DocumentError, match="part, which it does not declare"):
        build(recipe(), tmp_path / "out")
    type(source.ENGINE).attributes = lambda self, options: {"piece": str, "start_s": int, "part": int}
    with pytest.raises(DocumentError, match="'start_s' of integers"):
        build(recipe(), tmp_path / "out")
    type(source.ENGINE).attributes = lambda self, options: {"label": str}
    with pytest.raises(DocumentError, match="columns that exist already: label"):
        build(recipe(), tmp_path / "out")


def test_a_source_in_the_wrong_place_is_named(source: ModuleType, tmp_path: Path) -> None:
    source.ENGINE.yields = frozenset({"image"})
    with pytest.raises(DocumentError, match="yields image"):
        build(recipe(), tmp_path / "out")


@pytest.mark.parametrize(
    ("pairing", "regime", "said"),
    [
        ({"method": "joint", "images": "music", "clips": "music"}, "multi-take", "needs `items`"),
        ({"method": "joint", "items": "music", "clips": "music"}, "multi-take", "and not `images`"),
        ({"items": "music"}, "multi-take", "needs `images` and `clips`"),
        ({"method": "joint", "items": "muzak"}, "multi-take", "does not have"),
        ({"method": "joint", "items": "music"}, "single-take", "multi-take"),
    ],
)
def test_pairings_that_cannot_be(pairing: dict[str, str], regime: str, said: str) -> None:
    raw = recipe().model_dump(mode="json", by_alias=True)
    with pytest.raises(ValueError, match=said):
        Recipe.model_validate({**raw, "pairing": pairing, "regime": regime})


# ------------------------------------------------------------------------------------------ what looks at it
def test_plan_preview_and_diff_know_joint_sets(source: ModuleType, built: Dataset, tmp_path: Path) -> None:
    found = estimate.estimate(recipe())
    assert found.rows == {"train": 32, "test": 16}
    assert found.takes is None
    assert write_preview(built, tmp_path / "page.html").clips == 48
    other = build(recipe(pieces=7), tmp_path / "more")
    assert diff.compare(built, other).kinds["only in B"].rows == 8


def test_validate_finds_a_leaking_group_and_a_swapped_take(built: Dataset) -> None:
    path = built.shards("train")[0]
    table = pq.read_table(path)
    groups = table["group"].to_pylist()
    groups[0] = "piece-2"
    takes = table["take"].to_pylist()
    takes[1] = "p99-000"
    for name, values in (("group", groups), ("take", takes)):
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), pa.array(values))
    pq.write_table(table, path)
    found = validate(built)
    text = "\n".join(found.problems)
    assert "the group 'piece-2' is in several splits" in text
    assert "the take 'p99-000', but" in text
