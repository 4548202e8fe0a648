"""Results, tables, judges and boards as a hostile user hands them in: a message, and nothing is lost."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.test_hostile import refused
from tests.cli.test_scoring import xmbench
from tests.conftest import ROOT
from tests.making import submit, wav
from xmbench import leaderboard
from xmbench.errors import DatasetError, DocumentError, MediaError, OutputError, PrerequisiteError, SubmissionError
from xmbench.evaluator.compare import compare
from xmbench.evaluator.evaluate import items_digest
from xmbench.evaluator.judge import load_judges
from xmbench.evaluator.pair import score_files, score_listed
from xmbench.evaluator.resume import measurements, remove
from xmbench.evaluator.save import items_path, load_scored, score_and_save
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_json
from xmbench.formats.result import ReportedResult, Result
from xmbench.html import histogram
from xmbench.judges.words import fit
from xmbench.leaderboard.places import slug
from xmbench.views.preview import write_preview
from xmbench.views.report import write_report

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def scored(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    score_and_save(submit(digits, folder / "submission"), digits, folder / "result.json", workers=1)
    return folder / "result.json"


def edited(path: Path, folder: Path, edit: Edit) -> Path:
    """A copy of a result with its table, changed by hand."""
    folder.mkdir()
    data = json.loads(path.read_text())
    edit(data)
    (folder / path.name).write_text(json.dumps(data))
    shutil.copy(items_path(path), items_path(folder / path.name))
    return folder / path.name


# ------------------------------------------------------------------------------------------------ documents
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_value_that_is_not_a_number_is_refused(scored: Path, tmp_path: Path, number: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(re.sub(r'"value": [-\d.e]+', f'"value": {number}', scored.read_text(), count=1))
    with pytest.raises(DocumentError, match="not a JSON file") as caught:
        load_json(path, Result)
    assert number in str(caught.value)


def test_a_system_has_a_name_of_one_line(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s")
    text = (folder / "submission.json").read_text()
    for bad in (r"two\nlines", r"\u001b[31mred", r"a\u2028b"):
        system = f'"system": "{bad}"'.replace("\\", r"\\")  # as text, not as a template of `re.sub`
        (folder / "submission.json").write_text(re.sub(r'"system": "[^"]*"', system, text))
        refused(xmbench("check", folder, "--data", digits.folder), "system")


def test_names_that_no_file_can_have_get_a_message(digits: Dataset, scored: Path, tmp_path: Path) -> None:
    submission = scored.parent / "submission"
    strange = edited(scored, tmp_path / "x", lambda d: d.update(items_table="x" * 5000))
    refused(xmbench("report", strange), "File name too long")
    out = tmp_path / f"{'n' * 300}.json"
    refused(xmbench("score", submission, "--data", digits.folder, "--out", out), "File name too long")
    refused(xmbench("report", "."), "a directory, not a file")


# ------------------------------------------------------------------------------------------------ compare
@pytest.mark.parametrize("drawn", [{}, {"resamples": 0, "seed": 1}, {"resamples": 10**12, "seed": 20261121}])
def test_a_bootstrap_of_another_kind_is_not_compared(scored: Path, tmp_path: Path, drawn: dict[str, int]) -> None:
    strange = edited(scored, tmp_path / "x", lambda d: d.update(bootstrap=drawn))
    with pytest.raises(DocumentError) as caught:
        compare(strange, strange)
    assert "this version of xmbench draws" in str(caught.value)


def test_a_table_of_other_columns_is_named_although_its_digest_fits(scored: Path, tmp_path: Path) -> None:
    items = pq.read_table(items_path(scored)).drop_columns(["label"])
    items = items.set_column(items.column_names.index("stoi"), "stoi", pa.array(["x"] * items.num_rows))
    strange = edited(scored, tmp_path / "x", lambda d: d.update(items_digest=items_digest(items)))
    pq.write_table(items, items_path(strange))
    with pytest.raises(DatasetError) as caught:
        load_scored(strange)
    assert len(caught.value.problems) == 2


# ------------------------------------------------------------------------------------------------ report
def test_a_report_replaces_a_page_and_nothing_else(scored: Path, tmp_path: Path) -> None:
    own = edited(scored, tmp_path / "x", lambda _: None)
    before = own.read_bytes()
    with pytest.raises(OutputError, match="not an HTML page"):
        write_report(own, own)
    assert own.read_bytes() == before
    page = tmp_path / "new" / "folder" / "page.html"
    write_report(own, page)
    write_report(own, page)
    assert page.read_bytes().startswith(b"<!doctype html>")


def test_a_preview_replaces_a_page_and_nothing_else(digits: Dataset, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("mine")
    with pytest.raises(OutputError, match="not an HTML page"):
        write_preview(digits, tmp_path / "mine.py", clips=1)
    assert (tmp_path / "mine.py").read_text() == "mine"
    write_preview(digits, tmp_path / "new" / "page.html", clips=1)


def test_values_that_differ_by_rounding_alone_have_a_chart() -> None:
    values = np.array([4.5, np.nextafter(4.5, 5.0), np.nextafter(4.5, 4.0)])
    assert "<rect" in histogram(values, values.min(), values.max(), "PESQ of a ceiling", "", 30)


def test_another_submission_is_refused_also_where_the_judge_is_missing(
    digits: Dataset, scored: Path, tmp_path: Path
) -> None:
    strange = edited(scored, tmp_path / "x", lambda d: d["judge"].update(sha256="0" * 64))
    other = submit(digits, tmp_path / "other", lambda _i, _k, x: 0.5 * x)
    with pytest.raises(SubmissionError, match="not those that the result was scored from"):
        write_report(strange, tmp_path / "p.html", submission=other, data=digits.folder)


# ------------------------------------------------------------------------------------------------ boards
def test_every_name_is_a_file_of_its_own() -> None:
    names = ["麻雀", "日本語", "Pairs", "Reported here", "x" * 400, "x" * 401, "..", "-"]
    slugs = {slug(name) for name in names}
    assert len(slugs) == len(names)
    assert all(0 < len(s) < 150 and s != "pairs" and not s.startswith("reported-") for s in slugs)
    assert slug("MT-Net (lite)") == "mt-net-lite"


@pytest.mark.parametrize("name", ["Pairs", "reported x"])
def test_a_system_named_like_a_file_of_the_boards(scored: Path, tmp_path: Path, name: str) -> None:
    def edit(data: dict[str, Any]) -> None:
        data.update(limit=None)
        data["submission"].update(system=name)

    boards = tmp_path / "boards"
    leaderboard.add(boards, edited(scored, tmp_path / "x", edit))
    leaderboard.build(boards)
    leaderboard.check(boards)


def test_texts_of_others_are_plain_text_in_markdown(scored: Path, tmp_path: Path) -> None:
    bad = "<script>x</script> | `c` ![i](http://e/x.png)"
    strange = edited(scored, tmp_path / "x", lambda d: d["submission"].update(system=bad, command=f"a\n{bad}"))
    leaderboard.add(tmp_path / "boards", strange)
    leaderboard.build(tmp_path / "boards")
    text = (tmp_path / "boards" / "digits-ad-i2a.md").read_text()
    (row,) = [line for line in text.splitlines() if "&lt;script&gt;" in line]
    (heads,) = [line for line in text.splitlines() if line.startswith("| rank")]
    assert len(re.findall(r"(?<!\\)\|", row)) == heads.count("|")
    cell = row.split(" | ")[1]
    assert "<script" not in cell
    assert "](" not in cell.replace("\\](", "")


def test_pages_that_are_not_text_are_out_of_date_and_built_again(scored: Path, tmp_path: Path) -> None:
    boards = tmp_path / "boards"
    leaderboard.add(boards, scored)
    boards.joinpath("README.md").write_bytes(b"\xff\xfe")
    assert boards / "README.md" in leaderboard.build(boards)
    leaderboard.check(boards)


def test_a_missing_directory_of_boards_is_reported(tmp_path: Path) -> None:
    refused(xmbench("leaderboard", "--dir", tmp_path / "none"), "no leaderboards here")


def test_a_papers_track_is_a_track(tmp_path: Path) -> None:
    paper = {
        "schema": "xmbench/reported/1",
        "track": "a//b",
        "system": "s",
        "scores": {},
        "paper": "",
        "where": "",
        "data": "",
    }
    (tmp_path / "p.json").write_text(json.dumps(paper))
    with pytest.raises(DocumentError):
        load_json(tmp_path / "p.json", ReportedResult)


# ------------------------------------------------------------------------------------------------ judges
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--hold-out", "ben"], "--voices"),
        (["--voices-share", "0.5"], "--voices"),
        (["--direction", "a2i", "--architecture", "recurrent"], "--architecture"),
        (["--name", "../up"], "--name"),
        (["--name", "Über"], "--name"),
        (["--seed", "-1"], "--seed"),
        (["--beside", "nowhere.safetensors"], "no such file"),
    ],
)
def test_options_of_fit_judge_that_would_be_ignored_or_crash(
    digits: Dataset, tmp_path: Path, options: list[str], told: str
) -> None:
    refused(xmbench("fit-judge", digits.folder, "--steps", 1, "--out", tmp_path / "j", *options), told)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_another_file_than_a_judge_of_sounds_is_refused_before_the_training(digits: Dataset, tmp_path: Path) -> None:
    def never(line: str) -> None:
        raise AssertionError(line)

    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with pytest.raises(PrerequisiteError, match="cannot be read"):
        fit.fit_spoken_word_judge([digits], beside=tmp_path / "junk.safetensors", steps=1, progress=never)
    images = next((ROOT / "xmbench" / "judges").glob("*/weights/*image*.safetensors"))
    with pytest.raises(DatasetError, match="judges images"):
        fit.fit_spoken_word_judge([digits], beside=images, steps=1, progress=never)


@pytest.mark.parametrize("card", ["{", "[]", '{"accuracy": {"x": 1}}', '{"accuracy": 3}'])
def test_a_damaged_card_of_a_local_judge(digits: Dataset, tmp_path: Path, card: str) -> None:
    dataset = Dataset(Path(shutil.copytree(digits.folder, tmp_path / "d")), digits.manifest)
    (dataset.folder / "judges").mkdir(exist_ok=True)
    (dataset.folder / "judges" / "spoken-word.safetensors").write_bytes(b"junk")
    (dataset.folder / "judges" / "spoken-word.json").write_text(card)
    with pytest.raises(PrerequisiteError, match="card"):
        load_judges(dataset, digits.recipe.tracks[0], local=True)


def test_a_local_judge_with_a_name_that_no_result_may_hold(digits: Dataset, tmp_path: Path) -> None:
    dataset = Dataset(Path(shutil.copytree(digits.folder, tmp_path / "d")), digits.manifest)
    (dataset.folder / "judges").mkdir(exist_ok=True)
    (dataset.folder / "judges" / "Mein Ohr.safetensors").write_bytes(b"junk")
    with pytest.raises(PrerequisiteError, match="not a name for a judge"):
        load_judges(dataset, digits.recipe.tracks[0], local=True)


# ------------------------------------------------------------------------------------------------ resume, pair
def test_a_part_of_another_schema_is_left_alone(digits: Dataset, tmp_path: Path) -> None:
    stamp = measurements(tmp_path, digits, ["stoi"], "", "p").stamp.encode()
    for known in (stamp, b"\xff\xfe"):
        table = pa.table({"x": [1]}).replace_schema_metadata({b"xmbench": known})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        data = sink.getvalue().to_pybytes()
        (tmp_path / f"{hashlib.sha256(data).hexdigest()}.arrow").write_bytes(data)
    (tmp_path / "folder.arrow").mkdir()
    assert measurements(tmp_path, digits, ["stoi"], "", "p").measured == 0
    remove(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.arrow"]


def test_a_clip_without_samples_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(wav(np.zeros(0)))
    (tmp_path / "a.wav").write_bytes(wav(np.full(4000, 0.1)))
    with pytest.raises(MediaError, match=r"empty\.wav"):
        score_files(tmp_path / "a.wav", tmp_path / "empty.wav")
    assert score_listed(tmp_path / "empty.wav", tmp_path / "a.wav")["status"] == "reference-unscorable"
