"""A command opens a submission once: its document and its list of outputs, each file, the outputs of a table."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.making import submit
from xmbench.evaluator.find import open_for
from xmbench.evaluator.save import score_and_save
from xmbench.formats.dataset import Dataset

# An audit hook cannot be taken back, so it counts in a process of its own.
COUNTING = """
import json, os, sys
from collections import Counter
folder, counts = os.path.abspath(sys.argv[1]), Counter()

def count(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], (str, bytes, os.PathLike)):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.startswith(folder):
            counts[event + " " + os.path.relpath(path, folder)] += 1

sys.addaudithook(count)
from xmbench.evaluator import decode, item_records
real = decode.decode_output

def counted(raw, task, direction):
    counts["decode " + raw.id] += 1
    return real(raw, task, direction)

item_records.decode_output = counted
sys.argv = ["xmbench", *sys.argv[2:]]
from xmbench.cli import main
try:
    main()
except SystemExit as end:
    counts["exit code"] = int(end.code or 0)
print("counts " + json.dumps(counts))
"""


def counts(folder: Path, *arguments: object) -> Counter[str]:
    """How often a command opened, listed and decoded what is in a submission."""
    command = [sys.executable, "-c", COUNTING, *map(str, (folder, *arguments))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("counts ")] or [done.stderr]
    return Counter(json.loads(line.removeprefix("counts ")))


@pytest.mark.parametrize("data", ["named", "found by its digest"])
def test_score_and_verify_open_list_read_and_decode_everything_once(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    folder, result = submit(digits, tmp_path / "s"), tmp_path / "result.json"
    monkeypatch.setenv("XMBENCH_DATA", str(digits.folder.parent))
    named = ["--data", digits.folder] if data == "named" else []
    options = ["--workers", 1, *named]
    scored = counts(folder, "score", folder, "--out", result, "--metrics", "corr2d,word-accuracy", *options)
    verified = counts(folder, "verify", result, folder, *options)
    names = sorted(path.name for path in (folder / "outputs").iterdir())
    for found in (scored, verified):
        assert found.pop("exit code", 0) == 0
        listed = sum(number for what, number in found.items() if what.endswith(" outputs"))
        assert listed == 1
        assert found["open submission.json"] == 1
        assert [found[f"open outputs/{name}"] for name in names] == [1] * 40
        assert [found[f"decode {Path(name).stem}"] for name in names] == [1] * 40
        assert set(found.values()) == {1}


def test_the_outputs_of_a_table_are_read_once(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = submit(digits, tmp_path / "s")
    files = sorted((folder / "outputs").iterdir(), reverse=True)
    table = pa.table({"id": [path.stem for path in files], "bytes": [path.read_bytes() for path in files]})
    for path in files:
        path.unlink()
    (folder / "outputs").rmdir()
    pq.write_table(table, folder / "outputs.parquet")
    read: Counter[str] = Counter()

    class Counting(pq.ParquetFile):  # type: ignore[misc]
        def __init__(self, source: Any, **options: Any) -> None:
            super().__init__(source, **options)
            self.counts = read if Path(source).name == "outputs.parquet" else Counter[str]()

        def read(self, *, columns: list[str], **options: Any) -> Any:
            self.counts.update(columns)
            return super().read(columns=columns, **options)

        def iter_batches(self, *, columns: list[str], **options: Any) -> Any:
            self.counts.update(columns)
            return super().iter_batches(columns=columns, **options)

    monkeypatch.setattr(pq, "ParquetFile", Counting)
    monkeypatch.setenv("XMBENCH_DATA", str(digits.folder.parent))
    opened, dataset = open_for(folder, None)
    scored = score_and_save(opened, dataset, tmp_path / "result.json", metrics=["corr2d"])
    assert scored.result.scores["corr2d"].coverage == 1.0
    assert read == {"id": 2, "bytes": 1}  # ids: when they are listed, and again with the outputs
