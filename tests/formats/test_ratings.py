"""Ratings in CSV files: what people write is read, and every row that cannot be used is named with file and line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmbench.errors import DocumentError
from xmbench.formats import ratings
from xmbench.formats.ratings import Rating, Scale, parse_scale, read_ratings

HEAD = "rater,system,id,score\n"


def read(folder: Path, text: str | bytes) -> tuple[list[Rating], list[str]]:
    (folder / "a.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_ratings(folder, Scale(0, 3))


def test_rows_become_ratings_with_file_and_line(tmp_path: Path) -> None:
    found, problems = read(tmp_path, HEAD + "ann,MT-Net,digit-1,2\n\nbob,MT-Net,digit-1,2.5\n")
    assert problems == []
    assert found == [
        Rating("ann", "MT-Net", "digit-1", "", 2.0, False, "a.csv:2"),
        Rating("bob", "MT-Net", "digit-1", "", 2.5, False, "a.csv:4"),
    ]


def test_columns_in_any_order_with_others_beside_them(tmp_path: Path) -> None:
    text = 'score, id ,notes,aspect,outputs_digest,rater\n3,digit-1,"clear, loud",clarity,abc,ann\n'
    (found,), problems = read(tmp_path, text)
    assert problems == []
    assert (found.system, found.by_digest, found.aspect, found.rater) == ("abc", True, "clarity", "ann")


@pytest.mark.parametrize(
    "text", [HEAD.encode("utf-8-sig") + b"ann,s,i,1\n", (HEAD + "ann,s,i,1").replace("\n", "\r\n")]
)
def test_files_of_spreadsheets_are_read(tmp_path: Path, text: str | bytes) -> None:
    found, problems = read(tmp_path, text)
    assert (len(found), problems) == (1, [])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("ann,s,i,good", "a.csv:3: the score 'good' is not a number"),
        ("ann,s,i,nan", "is not a number"),
        ("ann,s,i,inf", "is not a number"),
        ("ann,s,i,4", "a.csv:3: the score 4 is not within 0..3"),
        ("ann,s,i,-0.1", "not within 0..3"),
        ("ann,s,i", "3 columns, expected 4"),
        ("ann,s,i,1,2", "5 columns, expected 4"),
        (",s,i,1", "no rater"),
        ("ann,,,1", "no system and no id"),
        ("bob,s,i,1", "the same rater has rated this already in a.csv:2"),
        (f"ann,{'s' * 2000},i,1", "2,000 characters"),
        ('ann,"s"x,i,1', "not a line of a CSV file"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, row: str, words: str) -> None:
    found, (problem,) = read(tmp_path, f"{HEAD}bob,s,i,1\n{row}\nbob,s,j,2\n")
    assert words in problem
    assert problem.startswith("a.csv:3: ")
    assert len(found) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("rater;system;id;score\na;b;c;1\n", "not by ';'"),
        ("rater,id,score\na,b,1\n", "column system missing"),
        ("system,score\na,1\n", "column rater missing"),
        ("rater,system,id,score,score\n", "column score twice"),
        (HEAD.encode("utf-16"), "UTF-16"),
        (HEAD.encode() + "ann,s,i\xe9,1".encode("latin-1"), "not text in UTF-8"),
    ],
)
def test_a_file_that_is_no_list_of_ratings(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(tmp_path, text)
    assert words in str(caught.value)
    assert "a.csv" in str(caught.value)


def test_directories_without_ratings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DocumentError, match="no CSV file"):
        read_ratings(tmp_path, Scale())
    with pytest.raises(DocumentError, match="cannot be read"):
        read_ratings(tmp_path / "none", Scale())
    monkeypatch.setenv("XMBENCH_MAX_BYTES", "100")
    with pytest.raises(DocumentError, match="bytes"):
        read(tmp_path, HEAD + "a,b,c,1\n" * 50)


def test_a_wrong_file_ends_after_so_many_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratings, "MOST_PROBLEMS", 5)
    _, problems = read(tmp_path, HEAD + "a,b,c,x\n" * 50)
    assert len(problems) == 6
    assert problems[-1].endswith("too many to go on")


def test_scales() -> None:
    assert parse_scale("0..3") == Scale(0, 3)
    assert str(parse_scale("1..4.5")) == "1..4.5"
    assert math.isinf(parse_scale("free").high)
    for wrong in ("", "3", "3..0", "0..x", "0-3", "nan..1", "0..inf"):
        with pytest.raises(DocumentError):
            parse_scale(wrong)


@settings(max_examples=80, deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_is_ratings_or_problems_or_a_message(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        found, problems = read(folder, (HEAD + text).encode("utf-8", "replace"))
    except DocumentError:
        return
    assert all(0 <= rating.score <= 3 and rating.rater and rating.system and rating.id for rating in found)
    assert all(problem.startswith("a.csv:") for problem in problems)
