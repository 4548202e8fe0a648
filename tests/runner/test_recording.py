"""Expected scores: computed from seeds, written into a baseline's file, compared by a later run."""

from __future__ import annotations

import statistics
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmbench import content, runner
from xmbench.cli.running import run_baseline
from xmbench.errors import CheckError, DocumentError, OutputError
from xmbench.formats.baseline import Baseline, Expected
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml
from xmbench.formats.expected_text import with_expected
from xmbench.formats.limit import parse_limit

MTNET = content.find("baselines", "mtnet")


def expected(metric: str = "corr2d", value: float = 0.5, **more: str) -> Expected:
    return Expected(track="t-x/i2a", metric=metric, value=value, tolerance=0.01, **more)


def test_mean_and_three_standard_deviations(digits: Dataset) -> None:
    scores = {0: {"word-accuracy": 0.90, "same": 0.5}, 1: {"word-accuracy": 0.92, "same": 0.5}}
    scores[2] = {"word-accuracy": 0.97, "same": 0.501}
    first, second = runner.expectations(digits, "digits-ad/i2a", "lite", scores)
    assert (first.metric, first.value, first.preset) == ("word-accuracy", 0.93, "lite")
    # Hand-computed: deviations -.03, -.01, .04; variance .0026 / 2; 3 * sqrt(.0013) = .108167
    assert first.tolerance == 0.1082
    assert first.tolerance >= 3 * statistics.stdev([0.90, 0.92, 0.97])
    assert (second.value, second.tolerance) == (0.5003, 0.01)
    assert first.note.startswith("seeds 0, 1, 2: 0.9000, 0.9200, 0.9700; ")


def test_the_note_names_the_limit_as_it_is_typed(digits: Dataset) -> None:
    part = Dataset(digits.folder, digits.manifest.model_copy(update={"limit": parse_limit("test=20")}))
    (made,) = runner.expectations(part, "digits-ad/i2a", None, {0: {"a": 0.5}, 1: {"a": 0.5}})
    assert made.note.endswith("; a build with --limit test=20")


def test_a_seed_without_a_score_is_named(digits: Dataset) -> None:
    with pytest.raises(CheckError, match="not recorded") as caught:
        runner.expectations(digits, "t-x/i2a", None, {0: {"a": 1.0}, 1: {"a": None}, 2: {}})
    assert caught.value.problems == ("seed 1: a", "seed 2: a")


def test_comments_and_order_of_a_file_stay() -> None:
    before = MTNET.read_text()
    lite = Expected(track="digits-ad/i2a", preset="lite", metric="corr2d", value=0.5, tolerance=0.1, note="mine")
    after = with_expected(before, [lite, expected()])
    kept = [line for line in before.splitlines() if line.strip().startswith("#") or " # " in line]
    assert all(line in after.splitlines() for line in kept)
    old, new = tomllib.loads(before), tomllib.loads(after)
    assert [table["metric"] for table in new["expected"]] == [*(table["metric"] for table in old["expected"]), "corr2d"]
    assert new["expected"][1] == lite.model_dump()
    assert {key: new[key] for key in new if key != "expected"} == {key: old[key] for key in old if key != "expected"}
    assert with_expected(after, [lite, expected()]) == after


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["", "lite"]), st.floats(-9, 9)), max_size=5),
    st.sampled_from(["", "\n", "\n\n# the end\n", "\n[config]\nx = 1\n\n# behind\n"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_tables_are_written_once_each(tables: list[tuple[str, str, float]], tail: str, newline: str) -> None:
    text = f'# mine\nname = "x"  # yours\n\n[[expected]] # old\ntrack = "t-x/i2a"\nmetric = "a"{tail}'
    text = text.replace("\n", newline)
    wanted = {(m, p): expected(m, v, preset=p, note='a "note"') for m, p, v in tables}
    after = with_expected(text, list(wanted.values())) if wanted else text
    found = {(table["metric"], table.get("preset", "")): table for table in tomllib.loads(after)["expected"]}
    assert found.keys() == wanted.keys() | {("a", "")}
    assert all(Expected.model_validate(found[key]) == item for key, item in wanted.items())
    assert "# mine" in after
    assert ("# behind" in after) == ("# behind" in text)


def test_a_file_without_a_table_gets_one_at_its_end() -> None:
    after = with_expected('name = "x"\n\n[config]\nx = 1 # one\n', [expected()])
    assert after.startswith('name = "x"\n\n[config]\nx = 1 # one\n\n[[expected]]\ntrack = "t-x/i2a"\n')
    assert after.endswith("tolerance = 0.01\n")


@pytest.mark.parametrize(
    "text", ['expected = [{metric = "a"}]\n', 'text = """\n[[expected]]\n"""\nx = """\n[[expected]]\n[config]"""\n']
)
def test_a_file_that_cannot_be_edited_stays_and_the_message_has_the_tables(text: str) -> None:
    with pytest.raises(DocumentError, match="line by line") as caught:
        with_expected(text, [expected()])
    assert 'metric = "corr2d"' in str(caught.value)


@pytest.mark.parametrize("seeds", [None, (0,), (0, 1)])
def test_one_or_two_seeds_are_not_recorded(tmp_path: Path, seeds: tuple[int, ...] | None) -> None:
    (tmp_path / "x.toml").touch()
    with pytest.raises(DocumentError, match="--seeds 0,1,2 --record"):
        runner.require_recordable(tmp_path / "x.toml", seeds, False)


def test_only_a_baseline_as_it_is_written_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "x.toml").touch()
    runner.require_recordable(tmp_path / "x.toml", (0, 1, 2), False)
    with pytest.raises(DocumentError, match="without --set"):
        runner.require_recordable(tmp_path / "x.toml", (0, 1, 2), True)
    with pytest.raises(OutputError, match="cannot be written"):
        runner.require_recordable(tmp_path / "gone.toml", (0, 1, 2), False)


def test_what_is_recorded_is_what_a_later_run_is_compared_with(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = {0: 0.50, 1: 0.52, 2: 0.54, 3: 0.57, 4: 0.59}

    def scores_of(submission: Path, _dataset: Dataset, metrics: list[str]) -> dict[str, float | None]:
        return dict.fromkeys(metrics, made[int(submission.parent.name.removeprefix("seed-"))])

    monkeypatch.setattr("xmbench.cli.running.scores_of", scores_of)
    file = Path("mine.toml")
    file.write_text(content.find("baselines", "white-noise").read_text() + "\n# the end\n")
    run_baseline("./mine.toml", digits.folder, Path("first"), seeds="0,1,2", record=True)
    assert f"recorded in {file}" in capsys.readouterr().out
    (stated,) = load_toml(file, Baseline).expected
    track = digits.track("i2a")
    assert track is not None
    assert (stated.metric, stated.value, stated.tolerance) == (track.primary, 0.52, 0.06)
    assert "# the end" in file.read_text()
    run_baseline("./mine.toml", digits.folder, Path("second"), seeds="3", verify=True)
    with pytest.raises(CheckError, match="does not reach") as caught:
        run_baseline("./mine.toml", digits.folder, Path("third"), seeds="3,4", verify=True)
    assert caught.value.exit_code == 1
    assert len(caught.value.problems) == 1
    assert "seed-4" in caught.value.problems[0]


def test_a_models_own_classifier_is_recorded_and_compared_too(digits: Dataset) -> None:
    generation = runner.Generation(seconds=1.0, items=3, clipped_samples=0, head_accuracy=0.9, created="")
    written = runner.Written("i2a", Path("x"), "digits-ad/i2a", "x", generation)
    scores = runner.diagnosed(written, {"word-accuracy": 0.8})
    assert scores == {"word-accuracy": 0.8, "head-accuracy": 0.9}
    baseline = load_toml(MTNET, Baseline)
    with_head = (*baseline.expected, Expected(track="digits-ad/i2a", metric="head-accuracy", value=0.9, tolerance=0.1))
    stated = baseline.model_copy(update={"expected": with_head})
    assert runner.metrics_to_record(stated, digits, "i2a", None) == ["corr2d-floored"]
    assert runner.metrics_to_record(stated, digits, "i2a", "lite") == [
        "corr2d-floored",
        "word-accuracy",
        "corr2d",
        "pesq",
    ]
