"""Lists of pairs as people write them: a line that cannot be used fails alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.making import wav
from xmbench.cli import app
from xmbench.errors import MediaError, SubmissionError
from xmbench.evaluator.pair import score_files
from xmbench.evaluator.pair_list import read_list

HEAD = b"id,reference,output\n"
TONE = 0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.wav").write_bytes(wav(TONE, 16000))
    return tmp_path


def listed(folder: Path, data: bytes) -> Path:
    (folder / "l.csv").write_bytes(data)
    return folder / "l.csv"


BAD = {
    "no output": b"x,a.wav,",
    "no such file": b"x,a.wav,gone.wav",
    "a null byte": b"x,a.wav,a\0.wav",
    "an open quote": b'x,"a.wav,a.wav',
    "text behind a quote": b'x,"a.wav"b,a.wav',
    "one column": b"x",
    "a million columns": b"x" + b"," * 10**6,
    "another delimiter": b"x;a.wav;a.wav",
    "no text": b"x,\xff\xfe.wav,a.wav",
    "a home directory that does not exist": b"x,~nobody-here/a.wav,a.wav",
    "a directory": b"x,.,a.wav",
    "a pipe": b"x,pipe,a.wav",
    "a device": b"x,/dev/zero,a.wav",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_fails_alone(folder: Path, name: str) -> None:
    os.mkfifo(folder / "pipe")
    path = listed(folder, HEAD + b"first,a.wav,a.wav\n" + BAD[name] + b"\nlast,a.wav,a.wav\n")
    run = CliRunner().invoke(app, ["pair", "--list", str(path), "--json"])
    assert run.exit_code == 1
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert [row["status"] == "ok" for row in rows] == [True, False, True]
    assert rows[1]["detail"]
    assert "1 of 3 pairs" in run.stderr
    assert len(run.stderr) < 2000


def test_names_and_forms_that_other_programs_write(folder: Path) -> None:
    name = os.fsdecode(b"\xe4.wav")
    (folder / name).write_bytes(wav(TONE, 16000))
    data = b"\xef\xbb\xbfnote,id, reference,output\r\n" + b',1,"a.wav",\xe4.wav\r\n\r\n,2,a.wav,a.wav,,,\r\n'
    jobs = read_list(listed(folder, data))
    assert [(job.id, job.fault) for job in jobs] == [("1", ""), ("2", "")]
    assert jobs[0].output == folder / name
    run = CliRunner().invoke(app, ["pair", "--list", str(folder / "l.csv")])
    assert run.exit_code == 0
    assert "\\udce4.wav" in run.stdout


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("id,reference,output\n1,a.wav,a.wav\n".encode("utf-16"), "save it as UTF-8"),
        ("id,reference,output\n1,a.wav,a.wav\n".encode("utf-16-le"), "save it as UTF-8"),
        (b"id;reference;output\n1;a.wav;a.wav\n", "not by ';'"),
        (b"id\treference\toutput\n", "not by '\\t'"),
        (b"", "column id, reference, output missing"),
        (b'"id,reference,output\n1,a.wav,a.wav\n', "column id, reference, output missing"),
        (b"\x7fELF" + bytes(range(256)) * 10, "column id, reference, output missing"),
        (HEAD, "no rows"),
        (HEAD + b"1,a.wav,gone.wav\n2,gone.wav,a.wav\n", "files that do not exist"),
    ],
)
def test_a_file_that_is_not_a_list_is_a_message(folder: Path, data: bytes, said: str) -> None:
    with pytest.raises(SubmissionError) as caught:
        read_list(listed(folder, data))
    assert said in str(caught.value)


def test_a_list_is_a_file_of_some_size(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    listed(folder, HEAD)
    os.truncate(folder / "l.csv", 10**10)
    for path, said in ((folder / "pipe", "a pipe"), (Path("/dev/zero"), "a device"), (folder / "l.csv", "bytes")):
        with pytest.raises(SubmissionError, match=said):
            read_list(path)


def test_single_files_are_checked_before_they_are_read(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "long.wav").write_bytes(wav(TONE, 16000))
    os.truncate(folder / "long.wav", 10**10)
    for path in (folder / "pipe", Path("/dev/zero"), folder, folder / "long.wav"):
        with pytest.raises(MediaError, match="cannot be read") as caught:
            score_files(folder / "a.wav", path)
        assert str(path) in str(caught.value)


def test_an_output_of_a_low_rate_is_resampled_only_as_far_as_it_counts(folder: Path) -> None:
    """Five minutes at 4 kHz against half a second at 384 kHz: half a gigabyte, if all of it were resampled."""
    slow = 0.3 * np.sin(2 * np.pi * 440 * np.arange(4000 * 300) / 4000)
    (folder / "slow.wav").write_bytes(wav(slow, 4000))
    (folder / "fast.wav").write_bytes(wav(0.3 * np.sin(2 * np.pi * 440 * np.arange(192_000) / 384_000), 384_000))
    (folder / "short.wav").write_bytes(wav(slow[:6000], 4000))
    assert score_files(folder / "fast.wav", folder / "slow.wav") == score_files(
        folder / "fast.wav", folder / "short.wav"
    )
