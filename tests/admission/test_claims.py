"""What a hostile user claims to `leaderboard add`: refused with every reason, and no file of the boards changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.admission.edits import Edit, Make, changed, contents, edited, hiss, named, noisy, refused, scored
from xmbench import leaderboard
from xmbench.errors import DatasetError, DocumentError
from xmbench.evaluator.evaluate import items_digest
from xmbench.evaluator.save import items_path
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.result import Result
from xmbench.media import audio


# ------------------------------------------------------------------------------------------------- whose word
def test_a_result_never_brings_its_own_status(root: Path, results: dict[str, Path], tmp_path: Path) -> None:
    record = {"xmbench": "1", "commit": "c", "machine": "m", "command": "x", "created": "2026-01-01"}

    def verified(data: dict[str, Any]) -> None:
        named("Verified by Myself")(data)
        data.update(status="verified", verified=record)

    added = leaderboard.add(root, edited(results["honest"], tmp_path / "x", verified))
    kept = load_json(added.path, Result)
    assert (kept.status, kept.verified) == ("self-reported", None)


def test_an_invented_result_is_refused_where_table_and_scores_differ(
    root: Path, results: dict[str, Path], tmp_path: Path
) -> None:
    def first(data: dict[str, Any]) -> None:
        named("Invented")(data)
        for score in data["scores"].values():
            score.update(value=1.0, low=1.0, high=1.0)

    told = refused(root, edited(results["honest"], tmp_path / "x", first))
    assert "corr2d: value 1.0, but its per-item table gives" in told


def test_an_invented_table_has_the_scores_of_an_invention_and_no_rank(
    root: Path, results: dict[str, Path], tmp_path: Path
) -> None:
    """Numbers that fit each other can be typed by anyone: such a row stays self-reported until it is verified."""

    def best(data: dict[str, Any]) -> None:
        named("Invented")(data)
        score = data["scores"][data["primary"]]
        score.update(value=2.0, low=2.0, high=2.0)

    path = edited(
        results["honest"], tmp_path / "x", best, changed(load_json(results["honest"], Result).primary, lambda x: x + 9)
    )
    assert "values outside its bounds" in refused(root, path)


@pytest.mark.parametrize("ends", [(-1.0, 1.0), (None, None)])
def test_a_typed_interval_is_refused(
    root: Path, results: dict[str, Path], tmp_path: Path, ends: tuple[float | None, float | None]
) -> None:
    def wide(data: dict[str, Any]) -> None:
        named("Wide")(data)
        data["scores"]["corr2d"].update(low=ends[0], high=ends[1])

    told = refused(root, edited(results["honest"], tmp_path / "x", wide))
    assert f"corr2d: low {ends[0]}, but its per-item table gives" in told


def test_invented_groups_do_not_narrow_an_interval(root: Path, results: dict[str, Path], tmp_path: Path) -> None:
    def one(items: pa.Table) -> pa.Table:
        same = pa.array(["g"] * items.num_rows)
        return items.set_column(items.column_names.index("reference_group"), "reference_group", same)

    told = refused(root, edited(results["honest"], tmp_path / "x", named("Narrow"), one))
    assert "other ids, labels or groups" in told


def test_invented_metrics_are_no_columns(root: Path, results: dict[str, Path], tmp_path: Path) -> None:
    def invent(data: dict[str, Any]) -> None:
        named("Inventor")(data)
        data["scores"]["my-score"] = dict(data["scores"]["stoi"])
        data["track_spec"]["metrics"].append("my-score")

    def more(items: pa.Table) -> pa.Table:
        wider = items.append_column("my-score", items.column("stoi"))
        return wider.append_column("my-score:status", items.column("stoi:status"))

    told = refused(root, edited(results["honest"], tmp_path / "x", invent, more))
    assert "my-score is not a metric of the recipe's track" in told
    assert "my-score: no such metric is installed" in told
    told = refused(root, edited(results["honest"], tmp_path / "y", named("Inventor"), more))
    assert "unknown column(s) my-score, my-score:status" in told


def _judge(data: dict[str, Any]) -> None:
    data["judge"]["accuracy"]["held-out voices"] = 1.0


def _recipe(data: dict[str, Any]) -> None:
    """A recipe that is not installed, so that nothing of it can be known."""
    data["data_digest"] = data["submission"]["data_digest"] = "3" * 64
    data["track_spec"]["gates"] = []


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (_judge, "judge: accuracy"),
        (_recipe, "data_digest: "),
        (lambda data: data.update(limit=None), "limit: None, but"),
        (lambda data: data.update(regime="multi-take"), "regime 'multi-take', but the recipe says 'single-take'"),
        (lambda data: data["bootstrap"].update(clusters=4000), "bootstrap"),
        (lambda data: data.update(protocol="xmbench-protocol/9"), "scored under xmbench-protocol/9"),
        (lambda data: data.update(outputs_digest="7" * 64), "has other outputs than its outputs_digest"),
    ],
)
def test_what_a_result_says_of_itself_is_compared(
    root: Path, results: dict[str, Path], tmp_path: Path, edit: Edit, told: str
) -> None:
    path = edited(results["honest"], tmp_path / "x", named("Liar"))
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))
    assert told in refused(root, path)


# ------------------------------------------------------------------------------------------------- whose outputs
def test_an_oracles_clips_are_not_a_learned_system(digits: Dataset, root: Path, tmp_path: Path) -> None:
    def one_sample(item_id: str, label: int, reference: Any) -> Any:
        clip = np.array(reference, dtype=np.float64)
        clip[2000] += 8 / audio.FULL_SCALE
        return clip

    made = {
        "one sample": one_sample,
        "quieter": lambda _i, _k, x: 0.6 * x,
        "later": lambda _i, _k, x: np.concatenate([np.zeros(3), x[:-3]]),
        "last bits": hiss(-90.0),
    }
    for name, make in made.items():
        path = scored(digits, tmp_path / name, make, system="My Net")
        told = refused(root, path)
        assert "cannot be told from 'Oracle class, stored clip'" in told, name
        assert 'is of kind "retrieval"' in told
    kept = scored(digits, tmp_path / "stored", one_sample, system="My Store", kind="retrieval")
    assert load_json(leaderboard.add(root, kept).path, Result).submission.kind == "retrieval"


@pytest.mark.parametrize("make", [noisy(0.002), hiss(-28.0)])
def test_a_system_that_is_only_good_is_no_oracle(digits: Dataset, root: Path, tmp_path: Path, make: Make) -> None:
    """MT-Net trained on single-take data has half its items within 0.005 of the oracle's, as clips with hiss."""
    path = scored(digits, tmp_path / "good", make, system="Very Good Net")
    assert leaderboard.add(root, path).paired == 4


def test_a_generator_that_learned_its_clips_nearly_by_heart_is_added_and_told(
    digits: Dataset, root: Path, tmp_path: Path
) -> None:
    """MT-Net with 1,800 steps on single-take data is as near to the clips as these are with a hiss at -40 dB."""
    added = leaderboard.add(root, scored(digits, tmp_path / "good", hiss(-40.0), system="Very Good Net"))
    assert added.paired == 4
    assert any("nearly 'Oracle class, stored clip'" in line for line in added.warnings)


def test_what_the_fixed_length_hides_keeps_a_result_off_the_boards(digits: Dataset, root: Path, tmp_path: Path) -> None:
    """Thirty seconds of anything after the word cost nothing."""

    def longer(item_id: str, label: int, reference: Any) -> Any:
        return np.concatenate([noisy(0.05)(item_id, label, reference), np.full(66_150, 0.3)])

    path = scored(digits, tmp_path / "longer", longer, system="Long Net")
    assert "continue after the fixed length" in refused(root, path)


def test_a_row_with_hardly_changed_outputs_of_another_is_told(digits: Dataset, root: Path, tmp_path: Path) -> None:
    def last_bit(item_id: str, label: int, reference: Any) -> Any:
        clip = np.array(noisy(0.05)(item_id, label, reference))
        clip[2000] += 1 / audio.FULL_SCALE
        return clip

    told = leaderboard.add(root, scored(digits, tmp_path / "again", last_bit, system="Another Net")).warnings
    assert any("100% of its outputs have the same corr2d-floored as those of 'Honest Net'" in line for line in told)


def test_a_table_with_empty_cells_is_named(root: Path, results: dict[str, Path], tmp_path: Path) -> None:
    path = edited(results["honest"], tmp_path / "x", named("My Net"))
    data = json.loads(path.read_text())
    items = pq.read_table(items_path(path))
    at = items.column_names.index("output_sha256")
    items = items.set_column(at, "output_sha256", pa.nulls(items.num_rows, pa.string()))
    pq.write_table(items, items_path(path))
    path.write_text(json.dumps({**data, "items_digest": items_digest(items)}))
    before = contents(root)
    with pytest.raises(DatasetError, match="not one that `xmbench score` writes") as told:
        leaderboard.add(root, path)
    assert "column 'output_sha256' has 40 empty cells" in str(told.value)
    assert contents(root) == before


def test_a_typed_status_hides_no_copy(digits: Dataset, root: Path, tmp_path: Path) -> None:
    def silent(items: pa.Table) -> pa.Table:
        statuses = pa.array(["silent"] * items.num_rows)
        return items.set_column(items.column_names.index("status"), "status", statuses)

    path = scored(digits, tmp_path / "copy", lambda _i, _k, x: 0.6 * x, system="My Net")
    assert "cannot be told from 'Oracle" in refused(root, edited(path, tmp_path / "x", named("My Net"), silent))


@pytest.mark.parametrize("kind", ["ceiling", "floor", "reference"])
def test_nobody_declares_a_bound(
    root: Path, digits: Dataset, results: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    path = edited(results["honest"], tmp_path / "x", named("My Bound", kind=kind))
    assert f"a row of kind '{kind}' must be made by a baseline of xmbench, and it names no baseline" in refused(
        root, path
    )
    claimed = named("Identity (the reference itself)", kind=kind, baseline="identity", seed=0)
    told = refused(root, edited(results["honest"], tmp_path / "y", claimed), dataset=digits)
    if kind == "ceiling":
        assert "identity was run again, and its outputs have the digest" in told
    else:
        assert f"kind '{kind}', but identity is of kind 'ceiling'" in told


def test_a_bound_without_its_data_set_is_refused_with_what_to_do(
    results: dict[str, Path], digits: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(DocumentError, match="name it with --data DIR"):
        leaderboard.add(tmp_path / "boards", results["oracle-class"])
    assert not (tmp_path / "boards").exists()
    leaderboard.add(tmp_path / "boards", results["oracle-class"], dataset=digits)


def test_a_bound_with_other_settings_is_refused(
    root: Path, digits: Dataset, results: dict[str, Path], tmp_path: Path
) -> None:
    path = edited(results["silence"], tmp_path / "x", named("Silence [x=1]", changed={"x": 1}))
    assert "silence with changed settings" in refused(root, path, dataset=digits)
