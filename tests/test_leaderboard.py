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

from tests.browsing import asks_for_nothing
from tests.conftest import ROOT
from tests.making import submit
from xmbench import content, leaderboard, registry, runner
from xmbench.cli import main
from xmbench.errors import CheckError, DatasetError, DocumentError, UnknownNameError
from xmbench.evaluator.save import load_scored, score_and_save
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json, load_toml
from xmbench.formats.item_scores import mean_column
from xmbench.formats.recipe import TrackSpec
from xmbench.formats.result import Result
from xmbench.formats.submission import Submission
from xmbench.leaderboard import audit
from xmbench.leaderboard.entries import entries

REPOSITORY = ROOT / "leaderboards"
RESULTS = [
    path
    for path in sorted(REPOSITORY.glob("*/*/*.json"))
    if path.name != "pairs.json" and not path.name.startswith("reported-")
]


TITLES = {"random-clip": "Random training clip", "oracle-class": "Oracle class, stored clip"}


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
    systems: dict[str, tuple[float, dict[str, Any]]] = {"better": (0.100, {}), "worse": (0.115, {})}
    made = {}
    for name in ("random-clip", "oracle-class"):
        baseline = load_toml(content.find("baselines", name), Baseline)
        done = runner.run(baseline, digits, folder / name / "run", progress=lambda line: None)
        made[TITLES[name]] = folder / name / "result.json"
        score_and_save(done.submission, digits, made[TITLES[name]])
    for name, (level, fields) in systems.items():
        submission = submit(digits, folder / name / "submission", noisy(level), system=name, **fields)
        made[name] = folder / name / "result.json"
        score_and_save(submission, digits, made[name])
    for path in made.values():
        path.write_text(re.sub(r'"commit": "[^"]*"', f'"commit": "{"a" * 40}"', path.read_text()))
    return made


@pytest.fixture
def root(filled: Path, tmp_path: Path) -> Path:
    """A folder with all four of them."""
    return Path(shutil.copytree(filled, tmp_path / "boards"))


@pytest.fixture(scope="module")
def filled(digits: Dataset, scored: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "boards"
    for path in scored.values():
        leaderboard.add(folder, path, dataset=digits)
    leaderboard.build(folder)
    return folder


def only_board(root: Path) -> leaderboard.Board:
    loaded = leaderboard.load(root)
    (board,) = leaderboard.boards(loaded.results, loaded.columns)
    return board


def copied(path: Path, folder: Path, edit: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
    """A result with its table, after an edit by hand."""
    copy = Path(shutil.copytree(path.parent, folder, ignore=shutil.ignore_patterns("submission"))) / path.name
    data = json.loads(copy.read_text())
    edit(data)
    copy.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    return copy


# ------------------------------------------------------------------------------------------------- ranks
def ranks(board: leaderboard.Board) -> list[tuple[str, int | None, str]]:
    return [(row.result.submission.system, row.rank, row.by) for row in board.rows]


def test_real_systems_with_overlapping_intervals_are_separated_item_by_item(root: Path) -> None:
    """As systems that need no seeds, and verified."""
    loaded = leaderboard.load(root)
    changed = [run.model_copy(update={"submission": as_retrieval(run.submission)}) for run in loaded.results]
    (board,) = leaderboard.boards(changed, loaded.columns, scored_here=True)
    assert ranks(board) == [
        ("better", 1, "paired"),
        ("worse", 2, "paired"),
        ("Oracle class, stored clip", None, ""),
        ("Random training clip", None, ""),
    ]
    better, worse = (row.result.scores["corr2d"] for row in board.rows[:2])
    assert better.low is not None
    assert worse.high is not None
    assert worse.high > better.low


def as_retrieval(made: Submission) -> Submission:
    return made.model_copy(update={"kind": "retrieval"}) if made.kind == "learned" else made


def test_other_data_or_another_judge_is_another_board(scored: dict[str, Path]) -> None:
    result = load_json(scored["better"], Result)
    assert result.judge is not None
    other = result.model_copy(update={"dataset_digest": "0" * 64, "data_digest": "1" * 64})
    judge = result.judge.model_copy(update={"sha256": "0" * 64})
    named = {"name": judge.name, "sha256": judge.sha256}
    track = TrackSpec.model_validate(result.track_spec.model_dump() | {"judge": named})
    old = result.model_copy(update={"judge": judge, "track_spec": track})
    found = leaderboard.boards([result, other, old])
    assert sorted(board.current is True for board in found) == [False, False, True]
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
    pages = {"README.md", "digits-ad-i2a.md", "digits-ad-i2a.html", "index.html"}
    assert {path.name for path in leaderboard.build(root)} == pages
    leaderboard.check(root)
    assert "better" in (root / "digits-ad-i2a.md").read_text()
    for name in ("README.md", "index.html", "digits-ad-i2a.html"):
        (root / name).write_text("edited")
        with pytest.raises(CheckError, match="out of date"):
            leaderboard.check(root)
        leaderboard.build(root)


def test_pages_of_a_track_that_is_gone_are_removed(root: Path) -> None:
    for own in ("notes.md", "notes.html"):
        (root / own).write_text("written by a person")
    gone = [root / f"more-ad-a2i.{ending}" for ending in ("html", "md")]
    for path in gone:
        path.write_bytes((root / f"digits-ad-i2a{path.suffix}").read_bytes())
    with pytest.raises(CheckError) as caught:
        leaderboard.check(root)
    assert caught.value.problems == tuple(f"{path}: of a track that is not there" for path in sorted(gone))
    assert sorted(leaderboard.build(root)) == sorted(gone)
    assert not any(path.exists() for path in gone)
    assert (root / "notes.md").is_file()
    assert (root / "notes.html").is_file()
    leaderboard.check(root)


def test_a_result_that_is_replaced_is_compared_anew(digits: Dataset, root: Path, tmp_path: Path) -> None:
    before = set(leaderboard.load(root).columns)
    folder = submit(digits, tmp_path / "again" / "submission", noisy(0.5), system="better")
    score_and_save(folder, digits, tmp_path / "again" / "result.json")
    assert leaderboard.add(root, tmp_path / "again" / "result.json", replace=True).paired == 3
    after = set(leaderboard.load(root).columns)
    assert len(after) == len(before) == 4
    assert len(after & before) == 3


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
        (lambda data: data["submission"].update(system="BETTER!"), "looks like 'better'"),
    ],
)
def test_what_cannot_be_on_a_board_is_refused(
    scored: dict[str, Path], tmp_path: Path, edit: Callable[[dict[str, Any]], None], told: str
) -> None:
    leaderboard.add(tmp_path / "boards", scored["better"])
    with pytest.raises(DocumentError, match=told):
        leaderboard.add(tmp_path / "boards", copied(scored["better"], tmp_path / "copy", edit))


def test_a_result_without_its_own_table_is_refused(scored: dict[str, Path], tmp_path: Path) -> None:
    lonely = copied(scored["better"], tmp_path / "lonely")
    lonely.with_name("result.items.parquet").unlink()
    with pytest.raises(DatasetError, match="per-item table is missing"):
        leaderboard.add(tmp_path / "boards", lonely)
    shutil.copy(scored["worse"].with_name("result.items.parquet"), lonely.parent)
    with pytest.raises(DatasetError, match="belongs to another result"):
        leaderboard.add(tmp_path / "boards", lonely)
    assert not (tmp_path / "boards").exists()


@pytest.mark.parametrize("name", ["", "../result.items.parquet", "/etc/passwd", ".."])
def test_a_table_elsewhere_is_none(scored: dict[str, Path], tmp_path: Path, name: str) -> None:
    strange = copied(scored["better"], tmp_path / "x", lambda data: data.update(items_table=name))
    with pytest.raises(DatasetError, match="per-item table is missing"):
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
    data["environment"]["xmbench"] = data["environment"]["machine"] = bad
    data["submission"].update(authors=[bad], notes=[bad], url=f"javascript:{bad}", command=f"{bad} --preset {bad}")
    path.write_text(json.dumps(data))
    leaderboard.build(root)
    for name in ("index.html", "digits-ad-i2a.html"):
        text = (root / name).read_text()
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


def test_a_metric_that_looks_at_all_items_together_is_not_taken_for_a_mean(scored: dict[str, Path]) -> None:
    result, items = load_scored(scored["better"])
    biased = result.scores["stoi"].model_copy(update={"low": 0.999, "high": 1.0})
    edited = result.model_copy(update={"scores": {**result.scores, "stoi": biased}})
    assert mean_column(items, "stoi", biased) is not None
    assert any("not within its own interval" in problem for problem in audit.problems(edited))
    whole = biased.model_copy(update={"whole_set": True})
    assert mean_column(items, "stoi", whole) is None
    edited = result.model_copy(update={"scores": {**result.scores, "stoi": whole}})
    assert audit.problems(edited) == ["stoi: whole_set True, but the metric has False"]


# ------------------------------------------------------------------------------------------------- seeds
@pytest.fixture(scope="module")
def seeded(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Results of one system that differ in their seed, 2, 0 and 1, and clearly from each other."""
    folder = tmp_path_factory.mktemp("seeded")
    made = {}
    for seed, level in ((2, 0.30), (0, 0.20), (1, 0.25)):
        fields = {"system": "A net", "baseline": "mtnet", "preset": "lite", "seed": seed, "authors": ("xmbench",)}
        submission = submit(digits, folder / f"{seed}" / "submission", noisy(level), **fields)
        made[seed] = folder / f"{seed}" / "result.json"
        score_and_save(submission, digits, made[seed])
    return made


def values(paths: dict[int, Path], metric: str = "corr2d") -> list[float]:
    found = [load_json(path, Result).scores[metric].value for path in paths.values()]
    return [value for value in found if value is not None]


def test_runs_that_differ_only_in_their_seed_are_one_row(root: Path, seeded: dict[int, Path]) -> None:
    for path in seeded.values():
        leaderboard.add(root, path)
    folder = root / "digits-ad" / "i2a"
    assert sorted(path.name for path in folder.glob("a-net*.json")) == [
        "a-net--limit-40--seed-0.json",
        "a-net--limit-40--seed-1.json",
        "a-net--limit-40.json",
    ]
    board = only_board(root)
    (row,) = (row for row in board.rows if row.result.submission.system == "A net")
    assert [run.submission.seed for run in row.runs] == [0, 1, 2]
    score, runs = row.scores["corr2d"], [run.scores["corr2d"] for run in row.runs]
    assert score.value == pytest.approx(np.mean(values(seeded)), abs=1e-12)
    assert row.entry.spread("corr2d") == (min(values(seeded)), max(values(seeded)))
    mean, seeds = np.mean(values(seeded)), 4.302653 * np.std(values(seeded), ddof=1) / 3**0.5  # t with 2 degrees
    items = mean - np.mean([run.low for run in runs if run.low is not None])
    assert [score.low, score.high] == pytest.approx([mean - np.hypot(items, seeds), mean + np.hypot(items, seeds)])
    assert row.entry.too_few_seeds is False
    assert row.entry.degrees("corr2d") == 2.0
    assert score.statuses == {"ok": 120}
    assert (row.rank, row.unranked) == (None, "self-reported")


def test_a_seed_that_comes_again_replaces_itself_and_no_other(root: Path, seeded: dict[int, Path]) -> None:
    for path in (*seeded.values(), *seeded.values()):
        leaderboard.add(root, path)
    assert len(list((root / "digits-ad" / "i2a").glob("a-net*.json"))) == 3
    assert len(list((root / "digits-ad" / "i2a").glob("a-net*.column.parquet"))) == 3
    loaded = leaderboard.load(root)
    assert set(loaded.columns) == {result.items_digest for result in loaded.results}


@pytest.mark.parametrize(
    "change",
    [
        {"preset": "gen-only"},
        {"changed": {"joint_lr": 0.001}},
        {"control": "shuffled-conditions"},
        {"baseline": "other"},
        {"authors": ("somebody else",)},
        {"kind": "reference"},
        {"seed": None},
        {"seed": 0},
    ],
)
def test_what_differs_in_more_than_the_seed_is_another_row(seeded: dict[int, Path], change: dict[str, Any]) -> None:
    first, second = (load_json(seeded[seed], Result) for seed in (0, 1))
    assert [len(entry.runs) for entry in entries([first, second])] == [2]
    other = second.model_copy(update={"submission": second.submission.model_copy(update=change)})
    assert [len(entry.runs) for entry in entries([first, other])] == [1, 1]


def test_seeds_stand_on_both_pages_with_spread_and_interval(root: Path, seeded: dict[int, Path]) -> None:
    for path in seeded.values():
        leaderboard.add(root, path)
    leaderboard.build(root)
    first, *others = (values(seeded, name) for name in ("corr2d-floored", "corr2d"))
    low, high = min(first), max(first)
    text = (root / "digits-ad-i2a.md").read_text()
    assert "| rank | system | kind | seeds | normalised |" in text
    (line,) = (line for line in text.splitlines() if "| A net |" in line)
    assert f"{np.mean(first):.4f} [" in line
    assert f"; seeds {low:.4f} to {high:.4f}" in line
    assert "| A net | learned | 3 |" in line
    spread = f"<small>seeds {low:.4f} to {high:.4f}</small>"
    assert spread in (root / "index.html").read_text()
    page = (root / "digits-ad-i2a.html").read_text()
    asks_for_nothing(page)
    assert spread in page
    assert "<h3>each seed</h3>" in page
    assert all(f"<td>{value:.4f}</td>" in page for run in (first, *others) for value in run)
    leaderboard.check(root)


def test_two_seeds_with_the_same_outputs_are_no_two_runs(root: Path, seeded: dict[int, Path], tmp_path: Path) -> None:
    leaderboard.add(root, seeded[0])
    again = copied(seeded[0], tmp_path / "again", lambda data: data["submission"].update(seed=7))
    with pytest.raises(DocumentError, match=r"the same outputs under 2 names: A net \(seed 0\), A net \(seed 7\)"):
        leaderboard.add(root, again)


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
        (r'("estoi": \{.*?"high": )[\d.]+', r"\g<1>1.5", "outside its bounds"),
        (r'"ok": 40', '"ok": 39', "its statuses count 39 items of 40"),
        (r'("corr2d": \{.*?"coverage": )1.0', r"\g<1>0.9", "coverage 0.9 with 40 of 40"),
        (r'("stoi-strict": \{.*?"left_out": \[\s*)"too-short"', r'\g<1>"silent"', "left_out ['silent']"),
        (r'("corr2d": \{.*?"higher_is_better": )true', r"\g<1>false", "higher_is_better False"),
        (r'("dataset_digest": ")....', r"\g<1>0000", "but its submission says"),
        (r'("judge": \{.*?"sha256": ")....', r"\g<1>0000", "but its own track names"),
        (r'"primary": "corr2d-floored"', '"primary": "pesq"', "but its own track says 'corr2d-floored'"),
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


def test_pairs_of_the_first_protocol_are_read_only_in_the_history(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "history" / "protocol-1" / "digits-ad", tmp_path / "digits-ad")
    with pytest.raises(DocumentError) as caught:
        leaderboard.load(tmp_path, metrics=False)
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [
        str(tmp_path / "digits-ad" / direction / "pairs.json") for direction in ("a2i", "i2a")
    ]
    assert all("with the results of protocol 1 in history/protocol-1" in told for told in caught.value.problems)
    for path in tmp_path.glob("*/*/pairs.json"):
        path.unlink()
    assert leaderboard.load(tmp_path, metrics=False).results


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
    assert "No row is ranked." in text
    assert text.count("<svg") == 4


def test_a_report_beside_a_result_is_linked_and_does_not_make_the_page_stale(root: Path) -> None:
    report = root / "digits-ad" / "i2a" / "better--limit-40.report.html"
    report.write_text("a page")
    leaderboard.check(root)
    leaderboard.build(root)
    for name in ("index.html", "digits-ad-i2a.html"):
        assert 'href="digits-ad/i2a/better--limit-40.report.html"' in (root / name).read_text()
    report.unlink()
    leaderboard.check(root)


# ------------------------------------------------------------------------------------------------- this repository
def test_the_repositorys_own_boards_are_valid_and_current() -> None:
    leaderboard.check(REPOSITORY)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_every_result_of_this_repository_is_migrated_to_the_facts_of_its_run(path: Path) -> None:
    """The runner wrote a command then, from which it can be told what it ran."""
    made, then = load_json(path, Result), json.loads(path.read_text())["submission"]
    words = then["command"].split()
    assert made.submission.baseline == words[2]
    assert made.submission.preset == (words[words.index("--preset") + 1] if "--preset" in words else "")
    assert made.submission.control == ("shuffled-conditions" if "--shuffle-conditions" in words else "")
    assert made.submission.changed == {}
    for name, score in made.scores.items():
        metric = registry.metric(name)
        assert (set(score.left_out), score.whole_set) == (metric.left_out, hasattr(metric, "finish")), name
    assert Result.model_validate_json(made.to_json()) == made


def test_the_repositorys_own_boards_have_their_anchors() -> None:
    loaded = leaderboard.load(REPOSITORY, metrics=False)
    for board in leaderboard.boards(loaded.results, loaded.columns):
        assert board.scale.zero is not None
        assert board.scale.one is not None
        assert not any(gate.missing for gate in board.gates)


def test_the_repositorys_own_results_are_of_known_recipes_or_shown_apart() -> None:
    loaded = leaderboard.load(REPOSITORY)
    assert {result.track.split("/")[0] for result in loaded.results} <= set(content.names("recipes"))
    page = (REPOSITORY / "index.html").read_text()
    old = [board for board in leaderboard.boards(loaded.results, loaded.columns) if not board.current]
    assert page.count("(an earlier version of the recipe)") == len(old)
    assert not any(result.environment.commit.endswith("-dirty") for result in loaded.results)


def test_the_repositorys_own_pages_are_small_and_have_no_dead_link() -> None:
    pages = {path.name: asks_for_nothing(path.read_text()) for path in REPOSITORY.glob("*.html")}
    rows = [(name, row) for name, page in pages.items() for row in page.of("tr") if row.get("class") != "more"]
    opened = {f"{name}#open={row['id']}" for name, row in rows if "id" in row}
    assert (REPOSITORY / "index.html").stat().st_size < 300_000
    for name, page in pages.items():
        assert (REPOSITORY / name).stat().st_size < 400_000
        for link in (str(a["href"]) for a in page.of("a")):
            assert link.startswith("https://") or link in opened or (REPOSITORY / link).is_file(), link
