"""`check`: every kind of damage is found, named and listed at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.making import submit, wav
from xmbench.errors import DocumentError, SubmissionError
from xmbench.evaluator.check import Severity, check
from xmbench.formats.dataset import Dataset

NOISE = np.random.default_rng(0).normal(0, 0.1, 18140)


def kinds(dataset: Dataset, folder: Path) -> dict[str, str]:
    return {problem.id or "-": problem.kind for problem in check(folder, dataset).problems}


def test_the_references_themselves_have_no_problem(digits: Dataset, tmp_path: Path) -> None:
    report = check(submit(digits, tmp_path / "s"), digits)
    assert report.problems == ()
    assert report.items == digits.count("test")


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (None, "missing", "no output"),
        (wav(NOISE, rate=16000), "unreadable", "16000 Hz; expected 22050 Hz"),
        (wav(NOISE[:9000]), "length", "9000 samples, expected 18140"),
        (wav(np.stack([NOISE, NOISE], axis=1)), "unreadable", "2 channels"),
        (wav(np.zeros(18140)), "silent", "zero"),
        (wav(np.where(np.arange(18140) == 5, np.nan, NOISE), subtype="FLOAT"), "non-finite", "1 samples"),
        (b"", "unreadable", "empty file"),
        (b"hello, I am a text file\n", "unreadable", "not a readable audio file"),
        (wav(NOISE)[:30], "unreadable", "not a readable audio file"),
    ],
)
def test_damage_is_named(digits: Dataset, tmp_path: Path, damage: bytes | None, kind: str, words: str) -> None:
    victim = digits.table("test", []).column("id")[3].as_py()
    folder = submit(digits, tmp_path / "s", lambda i, _, x: damage if i == victim else x)
    (problem,) = check(folder, digits).problems
    assert (problem.id, problem.kind) == (victim, kind)
    assert words in problem.detail


def test_extra_duplicate_and_foreign_files_are_listed_together(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s")
    first = sorted((folder / "outputs").iterdir())[0]
    np.save(first.with_suffix(".npy"), NOISE.astype(np.float32))
    (folder / "outputs" / "no-such-item.wav").write_bytes(wav(NOISE))
    (folder / "outputs" / "notes.txt").write_text("hello")
    assert kinds(digits, folder) == {"no-such-item": "extra", first.stem: "duplicate", "-": "foreign"}


def test_clipping_is_a_note_not_a_problem(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s", lambda _i, _l, x: wav(3 * x / np.abs(x).max(), subtype="FLOAT"))
    report = check(folder, digits)
    assert report.problems == ()
    assert sum("clipped" in note.detail for note in report.notes) == report.items


def test_other_data_is_refused_with_every_difference(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s", track="mnist-ad/i2a", dataset_digest="0" * 64, data_digest="1" * 64)
    with pytest.raises(SubmissionError) as caught:
        check(folder, digits)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["track", "dataset_digest", "data_digest"]


def test_no_submission_here(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="no submission here"):
        check(tmp_path, digits)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not a JSON file"),
        ("[]", "the document is a list"),
        ('{"schema": "xmbench/result/1"}', "schema"),
        ('{"schema": "xmbench/submission/1", "sytem": "x"}', "did you mean 'system'"),
    ],
)
def test_a_wrong_submission_file_is_explained(digits: Dataset, tmp_path: Path, text: str, words: str) -> None:
    folder = submit(digits, tmp_path / "s")
    (folder / "submission.json").write_text(text)
    with pytest.raises(DocumentError) as caught:
        check(folder, digits)
    assert words in str(caught.value)


def test_a_table_of_outputs_in_any_order_is_the_same_submission(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s")
    files = sorted((folder / "outputs").iterdir(), reverse=True)
    table = pa.table({"id": [f.stem for f in files], "bytes": [f.read_bytes() for f in files]})
    other = tmp_path / "t"
    other.mkdir()
    (other / "submission.json").write_text((folder / "submission.json").read_text())
    pq.write_table(table, other / "outputs.parquet")
    assert check(other, digits).problems == ()


def test_a_damaged_table_and_a_wrong_table_are_refused(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s")
    for path in (folder / "outputs").iterdir():
        path.unlink()
    (folder / "outputs").rmdir()
    with pytest.raises(SubmissionError, match="no outputs"):
        check(folder, digits)
    (folder / "outputs.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(SubmissionError, match="cannot be read"):
        check(folder, digits)
    pq.write_table(pa.table({"name": ["a"]}), folder / "outputs.parquet")
    with pytest.raises(SubmissionError, match="column id, bytes missing"):
        check(folder, digits)


def test_problems_are_json_ready(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s", lambda *_: wav(np.zeros(18140)))
    json.dumps([problem.detail for problem in check(folder, digits).problems])


def test_each_finding_says_how_severe_it_is(digits: Dataset, tmp_path: Path) -> None:
    ids = digits.table("test", []).column("id").to_pylist()
    damage = {
        ids[0]: wav(np.zeros(18140)),
        ids[1]: wav(NOISE[:9000]),
        ids[2]: b"",
        ids[3]: wav(99 * NOISE, subtype="FLOAT"),
    }
    found = check(submit(digits, tmp_path / "s", lambda i, _, x: damage.get(i, x)), digits)
    by_id = {problem.id: (problem.kind, problem.severity) for problem in (*found.problems, *found.notes)}
    assert by_id == {
        "": ("identical", Severity.note),
        ids[0]: ("silent", Severity.warning),
        ids[1]: ("length", Severity.warning),
        ids[2]: ("unreadable", Severity.error),
        ids[3]: ("clipped", Severity.note),
    }
    assert len(found.problems) == 3
