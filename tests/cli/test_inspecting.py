"""`diff` and `preview` on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
from typer.testing import CliRunner

from xmbench.cli import app
from xmbench.formats.dataset import Dataset


def run(*arguments: object) -> tuple[int, str]:
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return found.exit_code, found.output


def other_labels(digits: Dataset, folder: Path) -> Path:
    """A copy whose first training row has another label, and whose manifest says so."""
    copy = Path(shutil.copytree(digits.folder, folder))
    path = next((copy / "data").glob("train-*"))
    table = pq.read_table(path)
    labels = table.column("label").to_pylist()
    labels[0] = (labels[0] + 1) % 10
    pq.write_table(table.set_column(table.schema.names.index("label"), table.schema.field("label"), [labels]), path)
    raw = json.loads((copy / "manifest.json").read_text())
    raw["dataset_digest"] = 64 * "0"
    raw["xmbench_version"] = "9.9"
    next(shard for shard in raw["shards"] if shard["split"] == "train")["bytes"] = path.stat().st_size
    (copy / "manifest.json").write_text(json.dumps(raw))
    return copy


def test_diff(digits: Dataset, tmp_path: Path) -> None:
    code, text = run("diff", digits.folder, digits.folder)
    assert code == 0
    assert "the same content" in text
    copy = other_labels(digits, tmp_path / "copy")
    code, text = run("diff", digits.folder, copy)
    assert code == 1
    assert "1 row(s) differ: label" in text
    assert "9.9" in text
    assert "not the same content" in text
    code, text = run("diff", digits.folder, copy, "--json")
    assert code == 1
    found = json.loads(text)
    assert found["kinds"]["label"]["rows"] == 1
    assert found["equal"] is False
    assert run("diff", digits.folder, tmp_path / "nothing")[0] != 0


def test_a_wrong_digest_is_reported(digits: Dataset, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(digits.folder, tmp_path / "copy"))
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace(digits.digest, 64 * "0"))
    code, said = run("diff", digits.folder, copy)
    assert code == 1
    assert "no row differs, so one of the digests is wrong" in said


def test_preview(digits: Dataset, tmp_path: Path) -> None:
    code, text = run("preview", digits.folder, "--out", tmp_path / "page.html", "--items", "3")
    assert code == 0, text
    assert "3 clips" in text
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    copy = Path(shutil.copytree(digits.folder, tmp_path / "copy"))
    assert run("preview", copy)[0] == 0
    assert (tmp_path / "copy.html").is_file()
    assert sorted(path.name for path in copy.iterdir()) == sorted(path.name for path in digits.folder.iterdir())
