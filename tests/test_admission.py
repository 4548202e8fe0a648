"""What a hostile user hands to `leaderboard add`: refused with every reason, and no file of the boards changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.making import submit
from xmbench import content, leaderboard, runner
from xmbench.errors import DatasetError, DocumentError
from xmbench.evaluator.evaluate import items_digest
from xmbench.evaluator.outputs_digest import digest_of
from xmbench.evaluator.save import items_path, score_and_save
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json, load_toml
from xmbench.formats.result import Result
from xmbench.leaderboard import columns, names
from xmbench.media import audio

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


@pytest.fixture(scope="module")
def results(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("admission")
    made = {name: ran(name, digits, folder / name) for name in ("random-clip", "oracle-class", "silence")}
    made["honest"] = scored(digits, folder / "honest", noisy(0.05), system="Honest Net")
    return made


@pytest.fixture(scope="module")
def board(digits: Dataset, results: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("boards") / "leaderboards"
    for path in results.values():
        leaderboard.add(root, path, dataset=digits)
    return root


@pytest.fixture
def root(board: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(board, tmp_path / "leaderboards"))


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
        "hiss": hiss(-40.0),
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
