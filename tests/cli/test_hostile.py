"""What a hostile user found: each input gets a message and an exit code, never a traceback."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.test_scoring import xmbench
from tests.making import submit, wav
from xmbench.builder.build import build
from xmbench.errors import DocumentError, SubmissionError
from xmbench.evaluator.check import check
from xmbench.formats.dataset import Dataset, open_dataset
from xmbench.inspection.validate import validate


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize("values", [[1, 2], ["a", "b"], [[1], [2]]])
def test_a_table_with_other_types_is_refused(digits: Dataset, tmp_path: Path, values: list[object]) -> None:
    folder = submit(digits, tmp_path / "s", lambda *_: None)
    (folder / "outputs").rmdir()
    pq.write_table(pa.table({"id": ["x", "y"], "bytes": values}), folder / "outputs.parquet")
    with pytest.raises(SubmissionError, match="column bytes is of type"):
        check(folder, digits)


def test_a_header_that_claims_too_much_costs_only_its_item(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s")
    first = sorted((folder / "outputs").iterdir())[0]
    first.unlink()
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**15},), }}"
    text = header.ljust(117) + "\n"
    first.with_suffix(".npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode())
    (problem,) = check(folder, digits).problems
    assert (problem.id, problem.kind) == (first.stem, "unreadable")


def test_a_number_of_5000_digits_is_not_a_document(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s")
    (folder / "submission.json").write_text('{"schema": ' + "1" * 5000 + "}")
    with pytest.raises(DocumentError, match="not a JSON file"):
        check(folder, digits)


def test_a_shard_damaged_at_its_size_is_rebuilt_by_the_same_command(digits: Dataset, tmp_path: Path) -> None:
    made = build(digits.recipe, tmp_path / "d", limit=20, workers=1)
    shard = made.shards("test")[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 300] = bytes(300)
    shard.write_bytes(data)
    (made.folder / "ledger.parquet").write_bytes(b"nothing")
    again = build(digits.recipe, tmp_path / "d", limit=20, workers=1)
    assert again.digest == made.digest
    assert not validate(open_dataset(made.folder)).problems


def test_small_mistakes_are_refused(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s")
    (tmp_path / "mine").write_text("hi")
    refused(xmbench("score", folder, "--data", digits.folder, "--out", tmp_path / "mine"), "not a result")
    assert (tmp_path / "mine").read_text() == "hi"
    refused(xmbench("score", folder, "--data", digits.folder, "--metrics", ","), "no metric named")
    refused(xmbench("leaderboard", "--dir", tmp_path, "build"), "after the command")
    refused(xmbench("fit-judge", digits.folder, "--steps", -1))
    (tmp_path / "l.csv").write_text(f"id,reference,output\n1,{'x' * 5000},b.wav\n")
    refused(xmbench("pair", "--list", tmp_path / "l.csv"), "do not exist")
    (tmp_path / "slow.wav").write_bytes(wav(np.ones(100) * 0.1, rate=1))
    refused(xmbench("pair", tmp_path / "slow.wav", tmp_path / "slow.wav"), "1 Hz")
