"""`check`, `score`, `pair` as a user sees them: exit codes, messages, and nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.making import submit, wav
from xmbench.errors import OutputError
from xmbench.evaluator.save import score_and_save
from xmbench.formats.dataset import Dataset

PROGRAM = [sys.executable, "-m", "xmbench"]


def xmbench(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def noisy(item_id: str, label: int, reference: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(int(item_id.split("-")[-1]))
    return np.asarray(0.5 * reference + rng.normal(0, 0.02, len(reference)))


def test_help_and_version_are_fast() -> None:
    started = time.perf_counter()
    done = xmbench("--help")
    assert done.returncode == 0
    assert "score" in done.stdout
    assert time.perf_counter() - started < 5
    assert xmbench("--version").stdout.startswith("xmbench ")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['xmbench', '--help']\n"
        "import xmbench.cli\n"
        "try: xmbench.cli.main()\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'pydantic', 'pyarrow', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_score_finds_the_data_by_digest_and_writes_both_files(digits: Dataset, tmp_path: Path) -> None:
    submit(digits, tmp_path / "run" / "submission")
    done = xmbench(
        "score",
        "run/submission",
        "--metrics",
        "corr2d-floored,stoi",
        "--workers",
        1,
        cwd=tmp_path,
        XMBENCH_DATA=str(digits.folder.parent),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["scores"]["corr2d-floored"]["value"] == pytest.approx(1.0)
    assert (tmp_path / "run" / "result.items.parquet").is_file()
    assert "corr2d-floored *" in done.stdout


def test_score_without_the_data_says_where_it_looked(digits: Dataset, tmp_path: Path) -> None:
    done = xmbench("score", submit(digits, tmp_path / "s"), cwd=tmp_path, XMBENCH_DATA=str(tmp_path / "none"))
    assert done.returncode == 2
    assert "--data DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_submission_is_scored_listed_and_exits_1(digits: Dataset, tmp_path: Path) -> None:
    ids = digits.table("test", []).column("id").to_pylist()
    damage = {ids[0]: None, ids[1]: b"text", ids[2]: wav(np.zeros(18140, dtype=np.float32), rate=8000)}
    folder = submit(digits, tmp_path / "s", lambda i, _k, x: damage.get(i, x))
    done = xmbench("score", folder, "--data", digits.folder, "--metrics", "corr2d", "--workers", 1)
    assert done.returncode == 1
    assert all(i in done.stderr for i in ids[:3])
    assert json.loads((tmp_path / "result.json").read_text())["scores"]["corr2d"]["coverage"] == 37 / 40
    checked = xmbench("check", folder, "--data", digits.folder, "--json")
    assert checked.returncode == 1
    assert len(json.loads(checked.stdout)["problems"]) == 3


def test_pair_prints_one_object_per_pair(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 22050)
    (tmp_path / "a.wav").write_bytes(wav(sound))
    (tmp_path / "pairs.csv").write_text("id,reference,output\nx,a.wav,a.wav\ny,a.wav,a.wav\n")
    done = xmbench("pair", "--list", tmp_path / "pairs.csv", "--json")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [pair["id"] for pair in found] == ["x", "y"]
    assert found[0]["corr2d"] == pytest.approx(1.0)
    assert xmbench("pair", tmp_path / "a.wav").returncode == 2
    assert xmbench("pair", tmp_path / "a.wav", tmp_path / "gone.wav").returncode == 2


def test_an_unwritable_place_is_refused_before_the_work(digits: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = xmbench(
        "score", submit(digits, tmp_path / "s"), "--data", digits.folder, "--out", tmp_path / "file" / "r.json"
    )
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


def test_a_full_disk_leaves_no_half_result(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("xmbench.evaluator.save.pq.write_table", full)
    with pytest.raises(OutputError, match="no space left"):
        score_and_save(submit(digits, tmp_path / "s"), digits, tmp_path / "out" / "r.json", metrics=["stoi"])
    assert list((tmp_path / "out").iterdir()) == []


def test_ctrl_c_ends_with_a_message_and_no_result(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s", noisy)
    process = subprocess.Popen(
        [*PROGRAM, "score", str(folder), "--data", str(digits.folder), "--metrics", "pesq,corr2d", "--workers", "2"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(1.5)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "result.json").exists()
