"""The page of a result: complete, self-contained, true to the tables, and useful without the submission."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.browsing import asks_for_nothing
from tests.making import submit
from xmbench import content, leaderboard, registry
from xmbench.builder.build import build
from xmbench.cli import main
from xmbench.errors import DatasetError, SubmissionError
from xmbench.evaluator.save import load_scored, score_and_save
from xmbench.evaluator.verdicts import Verdicts
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.formats.document import load_toml
from xmbench.formats.items import read_image
from xmbench.formats.recipe import TrackSpec
from xmbench.formats.submission import Submission
from xmbench.interfaces import ItemState, Metric, Pair, ScoringContext, Status
from xmbench.media import image
from xmbench.media.signal import Picture
from xmbench.runner import run
from xmbench.views.report import write_report
from xmbench.views.report.confusion import matrix, section
from xmbench.views.report.items import choose


def spoken(item_id: str, label: int, reference: NDArray[np.float32]) -> Any:
    """Mostly the reference; some items fail, and "test-…3" have no word."""
    number = int(item_id.split("-")[-1])
    if number % 10 == 1:
        return None if number % 20 == 1 else np.zeros(len(reference))
    rng = np.random.default_rng(number)
    if number % 10 == 3:
        return rng.normal(0, 0.1, len(reference))
    return 0.5 * reference + rng.normal(0, 0.002 * (number % 7), len(reference))


@pytest.fixture(scope="module")
def scored(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "run"
    submit(digits, folder / "submission", spoken, system="a & <b>", notes=("it departs",))
    score_and_save(
        folder / "submission", digits, folder / "result.json", metrics=["corr2d-floored", "stoi", "word-accuracy"]
    )
    return folder / "result.json"


def cells(text: str, head: str) -> list[list[str]]:
    """The rows of the first table behind a heading."""
    body = text.split(head, 1)[1].split("<tbody>", 1)[1].split("</tbody>", 1)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


def test_the_page_is_complete_and_loads_nothing(digits: Dataset, scored: Path, tmp_path: Path) -> None:
    done = write_report(scored, tmp_path / "page.html", data=digits.folder)
    text = (tmp_path / "page.html").read_text()
    page = asks_for_nothing(text)
    assert done.missing == ()
    assert done.shown == len(page.of("article")) == 18
    assert len(page.of("audio")) == 2 * 18
    assert (tmp_path / "page.html").stat().st_size < 2_000_000
    result, _ = load_scored(scored)
    assert result.judge is not None
    for shown in (result.dataset_digest, result.judge.sha256, result.environment.commit, "on real recordings"):
        assert shown in text
    assert "a &amp; &lt;b&gt;" in text
    assert "<b>a" not in text
    assert "it departs" in text


def test_classes_and_failed_items_are_those_of_the_table(digits: Dataset, scored: Path, tmp_path: Path) -> None:
    write_report(scored, tmp_path / "page.html", data=digits.folder)
    text = (tmp_path / "page.html").read_text()
    _, items = load_scored(scored)
    rows = items.to_pylist()
    for name, count, failed, corr2d, *_ in cells(text, "<h2>Classes</h2>"):
        mine = [row for row in rows if row["class"] == name]
        assert int(count) == len(mine)
        assert int(failed) == sum(row["status"] != "ok" for row in mine)
        by_hand = sum(-1.0 if row["corr2d-floored"] is None else row["corr2d-floored"] for row in mine) / len(mine)
        assert float(corr2d) == pytest.approx(by_hand, abs=5e-5)
    listed = cells(text, "<h2>Failed items</h2>")
    assert listed == [[row["id"], row["class"], row["status"], row["detail"]] for row in rows if row["status"] != "ok"]
    assert {row[2] for row in listed} == {"missing", "silent"}


def test_the_confusion_gives_the_accuracy_that_was_scored(digits: Dataset, scored: Path, tmp_path: Path) -> None:
    write_report(scored, tmp_path / "page.html", data=digits.folder)
    text = (tmp_path / "page.html").read_text()
    result, items = load_scored(scored)
    counts = np.array(
        [[int(cell or 0) for cell in row[1:-1]] for row in cells(text, "What the judge found: word-accuracy")]
    )
    assert counts.sum() == items.num_rows
    assert np.trace(counts) / counts.sum() == result.scores["word-accuracy"].value
    assert counts[:, -1].sum() == sum(status != "ok" for status in items.column("status").to_pylist())
    assert counts[:, -2].sum() > 0  # noise is not a word


def test_a_second_judge_that_is_another_one_now_tells_nothing(digits: Dataset, tmp_path: Path) -> None:
    names = ["word-accuracy", "word-accuracy-second"]
    submit(digits, tmp_path / "submission", spoken)
    result = score_and_save(tmp_path / "submission", digits, tmp_path / "result.json", metrics=names).result
    write_report(tmp_path / "result.json", tmp_path / "page.html", data=digits.folder)
    assert "found: word-accuracy-second" in (tmp_path / "page.html").read_text()
    assert result.second_judge is not None
    other = result.model_copy(update={"second_judge": result.second_judge.model_copy(update={"sha256": "0" * 64})})
    (tmp_path / "result.json").write_text(other.to_json())
    reported = write_report(tmp_path / "result.json", tmp_path / "page.html", data=digits.folder)
    assert reported.missing == ("No confusion of the second judge: it is not the installed one.",)
    text = (tmp_path / "page.html").read_text()
    assert "found: word-accuracy-second" not in text
    assert "found: word-accuracy" in text


def test_the_matrix_by_hand() -> None:
    found = matrix(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 2, -1]), 2)
    assert found.tolist() == [[1, 1, 0, 0], [0, 1, 1, 1]]


def test_the_confusion_of_many_classes_is_a_picture(scored: Path) -> None:
    result, items = load_scored(scored)
    labels = np.asarray(items.column("label").to_pylist(), dtype=np.int64)
    names = tuple(f"class {k}" for k in range(100))
    text = section(items, [Verdicts("word-accuracy", names, np.where(labels == 3, 99, labels))], result)
    assert len(asks_for_nothing(text).of("img")) == 1
    assert f"Most frequent: class 3 → class 99: {(labels == 3).sum()}." in text


def test_best_median_and_worst_by_the_primary_metric(scored: Path) -> None:
    result, items = load_scored(scored)
    values = items.column("corr2d-floored").to_pylist()
    measured = sorted((value for value in values if value is not None), reverse=True)
    found = choose(result, items, 3)
    assert [values[row] for row, _ in found["best"]] == measured[:3]
    assert [values[row] for row, _ in found["worst"]] == measured[:-4:-1]
    middle = len(measured) // 2
    assert sorted(values[row] for row, _ in found["median"]) == sorted(measured[middle - 1 : middle + 2])
    assert [place for _, place in found["best"]] == [1, 2, 3]


def test_the_bounds_of_the_board_are_shown(digits: Dataset, scored: Path, tmp_path: Path) -> None:
    boards = tmp_path / "boards"
    for name in ("random-clip", "oracle-class"):
        folder = tmp_path / name
        done = run(
            load_toml(content.find("baselines", name), Baseline), digits, folder / "run", progress=lambda _: None
        )
        score_and_save(done.submission, digits, folder / "result.json")
        leaderboard.add(boards, folder / "result.json", dataset=digits)
    write_report(scored, tmp_path / "page.html", data=digits.folder, root=boards)
    text = (tmp_path / "page.html").read_text()
    assert [row[0] for row in cells(text, "with the lower and upper bounds")] == [
        "a &amp; &lt;b&gt;",
        "Oracle class, stored clip",
        "Random training clip",
    ]
    assert "<b>a</b> Oracle class, stored clip" in text
    assert len(asks_for_nothing(text).of("figure")) == 3 * 18 + 3


def test_a_board_of_another_protocol_is_not_shown(digits: Dataset, scored: Path, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    submit(digits, folder / "submission", spoken, system="the old system")
    score_and_save(folder / "submission", digits, folder / "result.json")
    added = leaderboard.add(tmp_path / "boards", folder / "result.json")
    added.path.write_text(added.path.read_text().replace('"xmbench-protocol/2"', '"xmbench-protocol/1"'))
    write_report(scored, tmp_path / "page.html", data=digits.folder, root=tmp_path / "boards")
    assert "the old system" not in (tmp_path / "page.html").read_text()


def test_without_the_submission_there_are_tables_and_a_reason(scored: Path, tmp_path: Path) -> None:
    for name in ("result.json", "result.items.parquet"):
        shutil.copy(scored.with_name(name), tmp_path)
    done = write_report(tmp_path / "result.json", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    page = asks_for_nothing(text)
    assert done.shown == 0
    assert "submission was not found" in text
    assert page.of("audio") == []
    assert cells(text, "<h2>Classes</h2>")
    assert len(page.of("svg")) == 3


def test_without_its_table_a_result_has_no_report(scored: Path, tmp_path: Path) -> None:
    shutil.copy(scored, tmp_path)
    with pytest.raises(DatasetError, match="per-item table is missing"):
        write_report(tmp_path / "result.json", tmp_path / "page.html")


def test_where_everything_failed_there_is_nothing_to_listen_to(digits: Dataset, tmp_path: Path) -> None:
    submit(digits, tmp_path / "submission", lambda _, __, reference: np.zeros(len(reference)))
    score_and_save(tmp_path / "submission", digits, tmp_path / "result.json", metrics=["corr2d-floored"])
    assert write_report(tmp_path / "result.json", tmp_path / "page.html", data=digits.folder).shown == 0
    text = (tmp_path / "page.html").read_text()
    assert len(cells(text, "<h2>Failed items</h2>")) == 40
    assert "highest bar: 0" in text


def test_without_the_data_set_the_page_gives_the_reason(
    scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = write_report(scored, tmp_path / "page.html")
    assert "no data set with the digest" in done.missing[0]
    with pytest.raises(DatasetError):
        write_report(scored, tmp_path / "page.html", submission=scored.parent / "submission")


def test_another_submission_is_refused(digits: Dataset, scored: Path, tmp_path: Path) -> None:
    other = submit(digits, tmp_path / "other")
    with pytest.raises(SubmissionError, match="not those that the result was scored from"):
        write_report(scored, tmp_path / "page.html", submission=other, data=digits.folder)
    assert not (tmp_path / "page.html").exists()


def test_a_page_keeps_to_its_budget(
    digits: Dataset, scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xmbench.views.report.items._BUDGET", 200_000)
    done = write_report(scored, tmp_path / "page.html", data=digits.folder)
    assert 3 <= done.shown < 18
    assert (tmp_path / "page.html").stat().st_size < 300_000


def test_the_command(
    digits: Dataset, scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(scored.parent, tmp_path / "run"))
    monkeypatch.setattr("sys.argv", ["xmbench", "report", str(folder / "result.json"), "--data", str(digits.folder)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    assert "18 items with media" in capsys.readouterr().out
    assert (folder / "result.report.html").is_file()


# ------------------------------------------------------------------------------------------- the other direction
@dataclass(frozen=True, slots=True)
class Likeness:
    """A metric of images: 1 minus the mean absolute difference."""

    name: str = "likeness"
    version: str = "1"
    modality: str = "image"
    unit: str = ""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    floor: float = 0.0
    left_out: frozenset[Status] = frozenset()
    needs_judge: bool = False
    citation: str = "none"

    def prepare(self, pairs: Sequence[Pair], context: ScoringContext) -> list[ItemState]:
        states = []
        for pair in pairs:
            assert isinstance(pair.output, Picture)
            assert isinstance(pair.reference, Picture)
            difference = np.abs(pair.output.pixels.astype(float) - pair.reference.pixels).mean() / 255
            states.append(ItemState("ok", np.array([1 - difference])))
        return states

    def reduce(self, states: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(weights @ states[:, 0] / weights.sum(axis=1))


def test_a_report_of_images_from_sounds(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = registry.metric

    def metric(name: str) -> Metric:
        return Likeness() if name == "likeness" else known(name)  # type: ignore[return-value]

    monkeypatch.setattr(registry, "metric", metric)
    track = TrackSpec(direction="a2i", metrics=("likeness",), primary="likeness")
    recipe = digits.recipe.model_copy(update={"name": "likeness", "tracks": (track,)})
    build(recipe, tmp_path / "data", limit=40, workers=1)
    dataset = open_dataset(tmp_path / "data")
    outputs = tmp_path / "run" / "submission" / "outputs"
    outputs.mkdir(parents=True)
    for number, row in enumerate(dataset.rows("test", ["image"])):
        made = np.roll(read_image(row, dataset), number, axis=1)
        (outputs / f"{row['id']}.png").write_bytes(image.encode_png(made) if number else b"no image")
    submission = Submission(
        track="likeness/a2i", data_digest=dataset.manifest.data_digest, dataset_digest=dataset.digest, system="shifts"
    )
    (outputs.parent / "submission.json").write_text(submission.to_json())
    score_and_save(outputs.parent, dataset, tmp_path / "run" / "result.json")
    done = write_report(tmp_path / "run" / "result.json", tmp_path / "page.html", data=dataset.folder)
    page = asks_for_nothing((tmp_path / "page.html").read_text())
    assert done.shown == 18
    assert len(page.of("audio")) == 18  # the condition
    assert len(page.of("img")) == 18 * 3  # its spectrogram, the reference, the output
    assert json.loads((tmp_path / "run" / "result.json").read_text())["scores"]["likeness"]["coverage"] == 39 / 40
