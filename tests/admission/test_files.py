"""Names, damaged files and columns of boards: one user's file never stands for, or blocks, another user's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.admission.edits import contents, edited, named, noisy, refused, scored
from xmbench import leaderboard
from xmbench.errors import DocumentError
from xmbench.evaluator.save import items_path
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.result import Result
from xmbench.leaderboard import columns, names


# ------------------------------------------------------------------------------------------------- whose name
@pytest.mark.parametrize(
    "name",
    [
        "H\u043enest Net",  # a Cyrillic letter
        "Hon\u200best Net",
        "Honest Net ",
        "honest net",
        "HONEST  NET",
        "Honest-Net",
        "H\u043en\u0435st N\u0435t",
        "H\u03bfnest Net",
        "H0nest Net",
        "Honest\u00a0Net",
        "\u202eteN tsenoH",
        "Hónest Net",
        "Honest Net\ufe0f",
        "HonestNet",
        "Ho nest Net",
        "Hone\u20ddst Net",  # an enclosing circle
        "Honesŧ Net",
        "\u029conest Net",  # a small capital
        "Honest\ua78fNet",
        "\ua4e7\ua4f3\ua4e0\ua4f0\ua4e2\ua4d4 \ua4e0\ua4f0\ua4d4",  # Lisu
        "Silence.",
        "0racle class, stored clip",
        "ldentity (the reference itself)",
        "MT-Net (our re-implementation)",
    ],
)
def test_a_rivals_name_is_refused(root: Path, results: dict[str, Path], tmp_path: Path, name: str) -> None:
    told = refused(root, edited(results["honest"], tmp_path / "x", named(name)))
    assert any(
        reason in told
        for reason in (
            "looks like",
            "nobody sees",
            "mixes scripts",
            "normal form",
            "of the baseline",
            "phonetic letters",
            "few readers know",
        )
    )


@pytest.mark.parametrize(
    "name", ["MT-Net (lite)", "麻雀", "日本語モデル v2", "Сеть", "Net 1.1", "Ünïcode", "한국어 net", "#1"]
)
def test_names_of_one_script_are_names(name: str) -> None:
    assert names.problems(name) == []


def test_a_point_between_digits_tells_two_names_apart() -> None:
    assert names.confusable("System v1.2", ["System v12"]) == []
    assert names.confusable("System v1.2", ["System-v1 2"]) == ["System-v1 2"]


def test_a_name_that_is_taken_needs_replace(root: Path, digits: Dataset, tmp_path: Path) -> None:
    path = scored(digits, tmp_path / "x", noisy(0.2), system="Honest Net")
    assert "is on this board already" in refused(root, path)
    added = leaderboard.add(root, path, replace=True)
    assert any("with other outputs" in warning for warning in added.warnings)
    assert load_json(added.path, Result).outputs_digest == load_json(path, Result).outputs_digest
    leaderboard.load(root)


def test_a_row_of_other_authors_that_is_replaced_is_told(root: Path, results: dict[str, Path], tmp_path: Path) -> None:
    path = edited(results["honest"], tmp_path / "x", named("Honest Net", authors=["Mallory"]))
    assert (
        "the row that it replaces is by nobody, and this one by Mallory"
        in leaderboard.add(root, path, replace=True).warnings
    )


def test_the_same_result_again_changes_nothing(root: Path, results: dict[str, Path]) -> None:
    before = contents(root)
    (warning,) = leaderboard.add(root, results["honest"]).warnings
    assert "on the board already" in warning
    assert contents(root) == before


def test_the_same_outputs_under_another_name_are_refused(root: Path, results: dict[str, Path], tmp_path: Path) -> None:
    told = refused(root, edited(results["honest"], tmp_path / "x", named("Twin"), outputs=""))
    assert "the same outputs under 2 names" in told


# ------------------------------------------------------------------------------------------------- damage
def test_a_damaged_file_or_a_duplicate_blocks_nobody_else(
    root: Path, digits: Dataset, results: dict[str, Path], tmp_path: Path
) -> None:
    folder = root / "digits-ad" / "i2a"
    (folder / "broken.json").write_text("{")
    (root / "other" / "i2a").mkdir(parents=True)
    (root / "other" / "i2a" / "x.json").write_text("[]")
    data = json.loads((folder / "honest-net--limit-40.json").read_text())
    data["submission"]["system"] = "Twin"
    (folder / "twin--limit-40.json").write_text(json.dumps(data))
    before = contents(root)
    added = leaderboard.add(root, scored(digits, tmp_path / "x", noisy(0.2), system="Late Net"))
    assert sum("broken.json" in warning or "x.json" in warning for warning in added.warnings) == 2
    assert {name: data for name, data in contents(root).items() if name in before} == before
    with pytest.raises(DocumentError) as caught:
        leaderboard.load(root)
    assert not any("late-net" in problem for problem in caught.value.problems)


def test_nothing_is_left_of_an_add_that_the_disk_ends(
    root: Path, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scored(digits, tmp_path / "x", noisy(0.2), system="Late Net")
    before = contents(root)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="no space left"):
        leaderboard.add(root, path)
    assert contents(root) == before


# ------------------------------------------------------------------------------------------------- columns
def test_the_values_of_the_items_stand_beside_each_result(root: Path, results: dict[str, Path]) -> None:
    for path in results.values():
        result = load_json(path, Result)
        found = columns.of(root, result)
        assert found is not None
        items = pq.read_table(items_path(path))
        assert list(found.ids) == items.column("id").to_pylist()
        known = items.column(result.primary).to_numpy()
        floor = result.scores[result.primary].floor
        assert found.values == pytest.approx(np.where(np.isnan(known), floor, known), abs=1e-6)
        assert found.values.dtype == np.float32
    assert len(list(root.glob("*/*/items-*.parquet"))) == 1


def _other(path: Path, root: Path) -> None:
    shutil.copy(path.with_name("silence--limit-40.column.parquet"), path)


def _zeros(path: Path, root: Path) -> None:
    table = pq.read_table(path)
    zeros = pa.table({name: pa.array(np.zeros(table.num_rows, np.float32)) for name in table.column_names})
    pq.write_table(zeros.replace_schema_metadata(table.schema.metadata), path)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path, _: path.unlink(), "no such file"),
        (lambda path, _: path.write_bytes(path.read_bytes()[:-9]), "not a readable parquet file"),
        (_other, "belongs to another result"),
        (_zeros, "not those that were written"),
        (lambda path, _: next(path.parent.glob("items-*")).unlink(), "no such file"),
    ],
)
def test_a_missing_or_damaged_column_is_named(root: Path, damage: Callable[[Path, Path], None], told: str) -> None:
    path = root / "digits-ad" / "i2a" / "honest-net--limit-40.column.parquet"
    damage(path, root)
    with pytest.raises(DocumentError) as caught:
        leaderboard.load(root)
    assert any(told in problem for problem in caught.value.problems), caught.value.problems


def test_a_column_whose_result_is_gone_is_named(root: Path) -> None:
    (root / "digits-ad" / "i2a" / "honest-net--limit-40.json").unlink()
    with pytest.raises(DocumentError, match="without a result"):
        leaderboard.load(root)
