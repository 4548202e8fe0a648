"""Boards: one file per result in its right place, ranks that the data support, pages that are current."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browsing import asks_for_nothing, in_browser
from tests.conftest import ROOT
from tests.making import submit
from xmbench import content, leaderboard, registry
from xmbench.cli import main
from xmbench.errors import CheckError, DatasetError, DocumentError, UnknownNameError
from xmbench.evaluator.save import load_scored, score_and_save
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.result import Result, Score
from xmbench.leaderboard import audit
from xmbench.leaderboard.pairs import Compared, Pairing, column, compare

REPOSITORY = ROOT / "leaderboards"


def noisy(level: float) -> Callable[[str, int, Any], Any]:
    """The reference under noise that differs much between items, and is the same noise for every level."""

    def make(item_id: str, label: int, reference: Any) -> Any:
        rng = np.random.default_rng(int(item_id.split("-")[-1]))
        return 0.5 * reference + rng.normal(0, level * 10 ** rng.uniform(-2, 0), len(reference))

    return make


@pytest.fixture(scope="module")
def scored(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Results on real speech: two that differ a little on every item, a floor, a ceiling."""
    folder = tmp_path_factory.mktemp("scored")
    command = "xmbench run-baseline {} --data data/digits-ad --seed 0"
    systems: dict[str, tuple[float, dict[str, Any]]] = {
        "better": (0.100, {}),
        "worse": (0.115, {}),
        "Random training clip": (3.0, {"kind": "floor", "command": command.format("random-clip")}),
        "Oracle class": (0.0, {"kind": "ceiling", "command": command.format("oracle-class")}),
    }
    made = {}
    for name, (level, fields) in systems.items():
        submission = submit(digits, folder / name / "submission", noisy(level), system=name, **fields)
        made[name] = folder / name / "result.json"
        score_and_save(submission, digits, made[name])
        text = made[name].read_text()
        made[name].write_text(re.sub(r'"commit": "[^"]*"', f'"commit": "{"a" * 40}"', text))
    return made


@pytest.fixture
def root(scored: dict[str, Path], tmp_path: Path) -> Path:
    """A folder with all four of them."""
    for path in scored.values():
        leaderboard.add(tmp_path / "boards", path)
    leaderboard.build(tmp_path / "boards")
    return tmp_path / "boards"


def only_board(root: Path) -> leaderboard.Board:
    loaded = leaderboard.load(root)
    (board,) = leaderboard.boards(loaded.results, loaded.compared)
    return board


def copied(path: Path, folder: Path, edit: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
    """A result with its table, after an edit by hand."""
    copy = Path(shutil.copytree(path.parent, folder, ignore=shutil.ignore_patterns("submission"))) / path.name
    data = json.loads(copy.read_text())
    edit(data)
    copy.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    return copy


# ------------------------------------------------------------------------------------------------- ranks
def system(result: Result, name: str, value: float, half: float, kind: str = "learned") -> Result:
    found: Score = result.scores["corr2d"].model_copy(
        update={"value": value, "low": value - half, "high": value + half}
    )
    named = result.submission.model_copy(update={"system": name, "kind": kind})
    changes = {"scores": {"corr2d": found}, "submission": named, "items_digest": name[0] * 64}
    return result.model_copy(update=changes)


def ranks(board: leaderboard.Board) -> list[tuple[str, int | None, str]]:
    return [(row.result.submission.system, row.rank, row.by) for row in board.rows]


def test_without_pairs_overlapping_intervals_share_a_rank(scored: dict[str, Path]) -> None:
    result = load_json(scored["better"], Result)
    found = [
        system(result, "a", 0.9, 0.02),
        system(result, "b", 0.89, 0.02),
        system(result, "c", 0.5, 0.02),
        system(result, "d ceiling", 1.0, 0.0, "ceiling"),
    ]
    (board,) = leaderboard.boards(found)
    assert ranks(board) == [("d ceiling", None, ""), ("a", 1, ""), ("b", 1, "intervals"), ("c", 3, "intervals")]


@pytest.mark.parametrize(("low", "rank"), [(-0.001, 1), (0.001, 2)])
def test_a_pair_that_was_compared_decides(scored: dict[str, Path], low: float, rank: int) -> None:
    result = load_json(scored["better"], Result)
    found = [system(result, "a", 0.9, 0.02), system(result, "b", 0.89, 0.02)]
    pair = Pairing(metric="corr2d", a="b" * 64, b="a" * 64, difference=-0.01, low=-0.02, high=-low)
    (board,) = leaderboard.boards(found, Compared.of([pair]))
    assert ranks(board) == [("a", 1, ""), ("b", rank, "paired")]


def test_one_group_alone_separates_nothing(scored: dict[str, Path]) -> None:
    """Its resamples are all the same: the intervals have no width, whatever the scores."""
    result = load_json(scored["better"], Result)
    alone = result.model_copy(update={"bootstrap": {**result.bootstrap, "clusters": 1}})
    found = [system(alone, "a", 0.9, 0.0), system(alone, "b", 0.5, 0.0)]
    (board,) = leaderboard.boards(found)
    assert ranks(board) == [("a", 1, ""), ("b", 1, "intervals")]
    pair = Pairing(metric="corr2d", a="a" * 64, b="b" * 64, difference=0.4, low=0.4, high=0.4)
    (board,) = leaderboard.boards(found, Compared.of([pair]))
    assert ranks(board) == [("a", 1, ""), ("b", 1, "paired")]


def test_rounding_separates_nothing(scored: dict[str, Path]) -> None:
    result = load_json(scored["better"], Result)
    found = [system(result, "a", 0.9, 0.02), system(result, "b", 0.9, 0.02)]
    pair = Pairing(metric="corr2d", a="a" * 64, b="b" * 64, difference=0.0, low=1e-17, high=2e-16)
    (board,) = leaderboard.boards(found, Compared.of([pair]))
    assert ranks(board) == [("a", 1, ""), ("b", 1, "paired")]


def test_real_systems_with_overlapping_intervals_are_separated_by_their_pairs(root: Path) -> None:
    board = only_board(root)
    assert ranks(board) == [
        ("Oracle class", None, ""),
        ("better", 1, ""),
        ("worse", 2, "paired"),
        ("Random training clip", None, ""),
    ]
    better, worse = (row.result.scores["corr2d"] for row in board.rows[1:3])
    assert better.low is not None
    assert worse.high is not None
    assert worse.high > better.low


def test_paired_intervals_are_those_of_the_items_differences(scored: dict[str, Path]) -> None:
    columns = [column(load_scored(scored[name])[1], "corr2d", -1.0) for name in ("better", "worse")]
    first, second = columns
    assert first is not None
    assert second is not None
    ((difference, low, high),) = compare(first, [second])
    own = first.values - second.values
    half = 1.96 * own.std(ddof=1) / len(own) ** 0.5  # the normal approximation, of another book than the bootstrap
    assert difference == pytest.approx(own.mean(), abs=1e-12)
    assert low == pytest.approx(own.mean() - half, abs=0.2 * half)
    assert high == pytest.approx(own.mean() + half, abs=0.2 * half)
    ((turned, turned_low, turned_high),) = compare(second, [first])
    assert (turned, turned_low, turned_high) == pytest.approx((-difference, -high, -low), abs=1e-12)


def test_scores_are_normalised_between_the_random_item_and_the_oracle(root: Path) -> None:
    board = only_board(root)
    known = {row.result.submission.system: row.normalised for row in board.rows}
    values = {row.result.submission.system: row.result.scores["corr2d"].value or 0.0 for row in board.rows}
    low, high = values["Random training clip"], values["Oracle class"]
    assert known["Oracle class"] == 1.0
    assert known["Random training clip"] == 0.0
    assert known["better"] == pytest.approx((values["better"] - low) / (high - low))


def test_without_both_ends_nothing_is_normalised(root: Path) -> None:
    next(root.glob("*/*/oracle*.json")).unlink()
    next(root.glob("*/*/pairs.json")).unlink()
    assert {row.normalised for row in only_board(root).rows} == {None}


def test_an_oracle_below_the_random_item_is_no_scale(scored: dict[str, Path]) -> None:
    """On it a better system would have a lower normalised score."""
    low, high = (load_json(scored[name], Result) for name in ("Random training clip", "Oracle class"))
    score = high.scores["corr2d"]
    turned = high.model_copy(update={"scores": {**high.scores, "corr2d": low.scores["corr2d"]}})
    floor = low.model_copy(update={"scores": {**low.scores, "corr2d": score}})
    (board,) = leaderboard.boards([turned, floor, load_json(scored["better"], Result)])
    assert board.floor is not None
    assert board.ceiling is not None
    assert {row.normalised for row in board.rows} == {None}


def test_other_data_or_another_recipe_is_another_board(scored: dict[str, Path]) -> None:
    result = load_json(scored["better"], Result)
    other = result.model_copy(update={"dataset_digest": "0" * 64})
    old = result.model_copy(update={"recipe_digest": "0" * 64})
    found = leaderboard.boards([result, other, old])
    assert sorted(board.current is True for board in found) == [False, True, True]
    strange = result.model_copy(update={"track": "nobodys-recipe/i2a"})
    assert [board.current for board in leaderboard.boards([strange])] == [None]


# ------------------------------------------------------------------------------------------------- taking in
def test_add_build_check_and_a_stale_page(scored: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / "boards"
    added = leaderboard.add(root, scored["better"])
    assert added == leaderboard.Added(root / "digits-ad" / "i2a" / "better--limit-40.json", (), 0)
    assert leaderboard.add(root, scored["worse"]).paired == 1
    with pytest.raises(CheckError):
        leaderboard.check(root)
    assert {path.name for path in leaderboard.build(root)} == {"README.md", "digits-ad-i2a.md", "index.html"}
    leaderboard.check(root)
    assert "better" in (root / "digits-ad-i2a.md").read_text()
    for name in ("README.md", "index.html"):
        (root / name).write_text("edited")
        with pytest.raises(CheckError, match="out of date"):
            leaderboard.check(root)
        leaderboard.build(root)


def test_where_no_table_is_at_hand_intervals_decide(scored: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / "boards"
    leaderboard.add(root, scored["better"])
    shutil.rmtree(root / ".tables")
    assert leaderboard.add(root, scored["worse"]).paired == 0
    assert ranks(only_board(root)) == [("better", 1, ""), ("worse", 1, "intervals")]
    leaderboard.build(root)
    assert "| 1 ~ | worse |" in (root / "digits-ad-i2a.md").read_text()
    # Adding the first one again, with its table, compares the two.
    assert leaderboard.add(root, scored["better"]).paired == 1
    assert ranks(only_board(root))[1] == ("worse", 2, "paired")


def test_a_result_that_is_replaced_loses_its_pairs(digits: Dataset, root: Path, tmp_path: Path) -> None:
    before = len(json.loads(next(root.glob("*/*/pairs.json")).read_text())["pairs"])
    folder = submit(digits, tmp_path / "again" / "submission", noisy(0.5), system="better")
    score_and_save(folder, digits, tmp_path / "again" / "result.json")
    assert leaderboard.add(root, tmp_path / "again" / "result.json").paired == 3
    assert (
        len(json.loads(next(root.glob("*/*/pairs.json")).read_text())["pairs"]) == before == 5
    )  # all but the floor with the ceiling
    assert len(list((root / ".tables").glob("*.parquet"))) == 4
    leaderboard.load(root)


def _local(data: dict[str, Any]) -> None:
    data["judge"]["local"] = True


def _second_local(data: dict[str, Any]) -> None:
    data["second_judge"]["local"] = True


def _second_other(data: dict[str, Any]) -> None:
    data["second_judge"]["sha256"] = "0" * 64


def _half(data: dict[str, Any]) -> None:
    del data["scores"]["pesq"]


def _edited(data: dict[str, Any]) -> None:
    for name in ("value", "low", "high"):
        data["scores"]["stoi"][name] += 1e-6


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (_local, "local judge"),
        (_second_local, "local second judge"),
        (_second_other, "second judge 000000000000, but the recipe names"),
        (_half, "no score of pesq"),
        (_edited, "stoi: .* but its per-item table gives"),
        (lambda data: data["submission"].update(system="BETTER!"), "makes the same file as 'better'"),
    ],
)
def test_what_cannot_stand_on_a_board_is_refused(
    scored: dict[str, Path], tmp_path: Path, edit: Callable[[dict[str, Any]], None], told: str
) -> None:
    leaderboard.add(tmp_path / "boards", scored["better"])
    with pytest.raises(DocumentError, match=told):
        leaderboard.add(tmp_path / "boards", copied(scored["better"], tmp_path / "copy", edit))


def test_a_result_without_its_own_table_is_refused(scored: dict[str, Path], tmp_path: Path) -> None:
    lonely = copied(scored["better"], tmp_path / "lonely")
    lonely.with_name("result.items.parquet").unlink()
    with pytest.raises(DatasetError, match="not beside it"):
        leaderboard.add(tmp_path / "boards", lonely)
    shutil.copy(scored["worse"].with_name("result.items.parquet"), lonely.parent)
    with pytest.raises(DatasetError, match="not the result's own"):
        leaderboard.add(tmp_path / "boards", lonely)
    assert not (tmp_path / "boards").exists()


@pytest.mark.parametrize("name", ["", "../result.items.parquet", "/etc/passwd", ".."])
def test_a_table_elsewhere_is_none(scored: dict[str, Path], tmp_path: Path, name: str) -> None:
    strange = copied(scored["better"], tmp_path / "x", lambda data: data.update(items_table=name))
    with pytest.raises(DatasetError, match="not beside it"):
        leaderboard.add(tmp_path / "boards", strange)


@pytest.mark.parametrize("track", ["digits-ad", "../../i2a", "a/b/c", ""])
def test_a_track_that_is_no_place_is_refused(scored: dict[str, Path], tmp_path: Path, track: str) -> None:
    strange = copied(scored["better"], tmp_path / "x", lambda data: data.update(track=track))
    with pytest.raises(DocumentError, match="but its submission says"):
        leaderboard.add(tmp_path / "boards", strange)
    assert not (tmp_path / "boards").exists()


def test_nothing_unescaped(root: Path) -> None:
    path = root / "digits-ad" / "i2a" / "better--limit-40.json"
    data = json.loads(path.read_text())
    bad = "<script>x</script>\"'"
    data["split"] = data["environment"]["machine"] = bad
    data["submission"].update(authors=[bad], notes=[bad], url=f"javascript:{bad}", command=f"{bad} --preset {bad}")
    path.write_text(json.dumps(data))
    leaderboard.build(root)
    text = (root / "index.html").read_text()
    assert "<script>x" not in text
    assert all("javascript" not in str(a["href"]) for a in asks_for_nothing(text).of("a"))


def test_a_commit_that_nobody_can_check_out_is_told(scored: dict[str, Path], tmp_path: Path) -> None:
    dirty = copied(
        scored["better"], tmp_path / "x", lambda data: data["environment"].update(commit="b" * 40 + "-dirty")
    )
    (warning,) = leaderboard.add(tmp_path / "boards", dirty).warnings
    assert "clean commit" in warning


def test_the_command_tells_what_it_did(
    scored: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dirty = copied(scored["worse"], tmp_path / "x", lambda data: data["environment"].update(commit=""))
    words = ["leaderboard", "add", str(scored["better"]), str(dirty), "--dir", str(tmp_path / "boards")]
    monkeypatch.setattr("sys.argv", ["xmbench", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    told = capsys.readouterr()
    assert "worse--limit-40.json, compared item by item with 1 other" in told.out
    assert "warning: scored outside a clean commit" in told.err
    assert (tmp_path / "boards" / "index.html").is_file()


def test_a_metric_that_looks_at_all_items_together_is_not_taken_for_a_mean(
    scored: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    result, items = load_scored(scored["better"])
    biased = result.scores["stoi"].model_copy(update={"low": 0.999, "high": 1.0})
    edited = result.model_copy(update={"scores": {**result.scores, "stoi": biased}})
    assert column(items, "stoi", 0.0) is not None
    assert any("not within its own interval" in problem for problem in audit.problems(edited, None))
    known = registry.metric

    class Whole:
        """`stoi` as a metric of the whole set."""

        def __getattr__(self, name: str) -> Any:
            return getattr(known("stoi"), name)

        def finish(self) -> None:
            """Sees every item."""

    monkeypatch.setattr(registry, "metric", lambda name: Whole() if name == "stoi" else known(name))
    assert column(items, "stoi", 0.0) is None
    assert audit.problems(edited, None) == []


# ------------------------------------------------------------------------------------------------- the data
def test_a_file_in_the_wrong_place_is_refused(scored: dict[str, Path], tmp_path: Path) -> None:
    wrong = tmp_path / "mnist-ad" / "i2a"
    wrong.mkdir(parents=True)
    shutil.copy(scored["better"], wrong / "x.json")
    (wrong / "y.json").write_text("{}")
    with pytest.raises(DocumentError) as caught:
        leaderboard.load(tmp_path)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (r'("corr2d": \{\s+"value": 0\.)\d', r"\g<1>1", "is not within its own interval"),
        (r'("estoi": \{.*?"high": )[\d.]+', r"\g<1>1.5", "beyond its bounds"),
        (r'"ok": 40', '"ok": 39', "its statuses are 39 items of 40"),
        (r'("corr2d": \{.*?"coverage": )1.0', r"\g<1>0.9", "coverage 0.9 with 40 of 40"),
        (r'("corr2d": \{.*?"higher_is_better": )true', r"\g<1>false", "higher_is_better False"),
        (r'("dataset_digest": ")....', r"\g<1>0000", "but its submission says"),
        (r'("judge": \{.*?"sha256": ")....', r"\g<1>0000", "but the recipe names"),
        (r'"primary": "corr2d"', '"primary": "pesq"', "but the recipe says corr2d"),
    ],
)
def test_an_edit_by_hand_does_not_load(root: Path, old: str, new: str, told: str) -> None:
    path = root / "digits-ad" / "i2a" / "better--limit-40.json"
    text, count = re.subn(old, new, path.read_text(), count=1, flags=re.DOTALL)
    assert count == 1
    path.write_text(text)
    with pytest.raises(DocumentError) as caught:
        leaderboard.load(root)
    assert any(told in problem for problem in caught.value.problems), caught.value.problems


def test_pairs_that_the_scores_do_not_give_do_not_load(root: Path) -> None:
    path = root / "digits-ad" / "i2a" / "pairs.json"
    data = json.loads(path.read_text())
    data["pairs"][0]["difference"] += 1e-6
    data["pairs"][1]["a"] = "0" * 64
    path.write_text(json.dumps(data))
    with pytest.raises(DocumentError) as caught:
        leaderboard.load(root)
    assert len(caught.value.problems) == 2


def test_the_same_outputs_under_two_names(root: Path, tmp_path: Path) -> None:
    data = json.loads((root / "digits-ad" / "i2a" / "better--limit-40.json").read_text())
    data["submission"]["system"] = "another name"
    (root / "digits-ad" / "i2a" / "another-name--limit-40.json").write_text(json.dumps(data))
    with pytest.raises(DocumentError, match="the same outputs under 2 names"):
        leaderboard.load(root)


def test_no_boards_here(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no leaderboards here"):
        leaderboard.build(tmp_path / "none")


# ------------------------------------------------------------------------------------------------- the page
def test_the_page_needs_nothing_but_itself(root: Path) -> None:
    text = (root / "index.html").read_text()
    page = asks_for_nothing(text)
    assert len([row for row in page.of("tr") if row.get("class") == "row"]) == 4
    assert {select["name"] for select in page.of("select")} == {"recipe", "track", "protocol", "kind", "preset", "sort"}
    assert "Ranks by paired bootstrap." in text
    assert text.count("<svg") == 4


def test_a_report_beside_a_result_is_linked_and_does_not_make_the_page_stale(root: Path) -> None:
    report = root / "digits-ad" / "i2a" / "better--limit-40.report.html"
    report.write_text("a page")
    leaderboard.check(root)
    leaderboard.build(root)
    assert 'href="digits-ad/i2a/better--limit-40.report.html"' in (root / "index.html").read_text()
    report.unlink()
    leaderboard.check(root)


@pytest.mark.slow
def test_sorting_filtering_and_folding_in_a_browser(tmp_path: Path) -> None:
    page = Path(shutil.copy(REPOSITORY / "index.html", tmp_path))

    def rows(state: str) -> tuple[list[list[float]], str]:
        """Values of the sorted column in each board that is shown, and the whole document."""
        text = in_browser(page, state, tmp_path / "profile")
        assert re.search(r'<output id="told"[^>]*>\d+ boards?, \d+ rows?<', text)
        shown = [part for part in re.findall(r"<section.*?</section>", text, re.DOTALL) if "hidden" not in part[:200]]
        found = []
        for part in shown:
            lines = re.findall(r'<tr class="row[^>]*>.*?</tr>', part, re.DOTALL)
            cells = [re.search(r'data-h="pesq" data-v="([^"]+)"', line) for line in lines if "hidden" not in line[:120]]
            found.append([float(cell.group(1)) for cell in cells if cell])
        return found, text

    every, text = rows("sort=pesq")
    assert sum(map(len, every)) == text.count('data-h="pesq" data-v=')
    assert all(values == sorted(values, reverse=True) for values in every if values)
    assert 'data-k="pesq" data-better="high" aria-sort="descending"' in text
    some, text = rows("sort=pesq&turn=1&recipe=mnist-ad&kind=floor&open=r2-3")
    boards = [values for values in some if values]
    assert len(boards) == 1
    assert boards[0] == sorted(boards[0])
    assert len(boards[0]) >= 3
    assert text.count('aria-expanded="true"') == 1


# ------------------------------------------------------------------------------------------------- this repository
def test_the_repositorys_own_boards_are_valid_and_current() -> None:
    leaderboard.check(REPOSITORY)


def test_the_repositorys_own_results_are_of_known_recipes_or_shown_apart() -> None:
    loaded = leaderboard.load(REPOSITORY)
    assert {result.track.split("/")[0] for result in loaded.results} <= set(content.names("recipes"))
    page = (REPOSITORY / "index.html").read_text()
    old = [board for board in leaderboard.boards(loaded.results, loaded.compared) if not board.current]
    assert page.count("(an earlier version of the recipe)") == len(old)
    assert not any(result.environment.commit.endswith("-dirty") for result in loaded.results)


def test_the_repositorys_own_page_is_small_and_has_no_dead_link() -> None:
    path = REPOSITORY / "index.html"
    assert path.stat().st_size < 300_000
    links = [str(a["href"]) for a in asks_for_nothing(path.read_text()).of("a")]
    assert all(link.startswith("https://") or (REPOSITORY / link).is_file() for link in links)
