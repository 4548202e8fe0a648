"""`list`, `build` and `validate` as real programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.builder.conftest import Corpus, write_corpus
from tests.recipes import toml_of
from xmbench.cli import app
from xmbench.formats.dataset import open_dataset


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("upstream") / "strokes")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def xmbench(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(*map(str, arguments)), capture_output=True, text=True, cwd=cwd, timeout=120)


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from xmbench.cli import main; main()", *arguments]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("recipes", "digits-ad"),
        ("baselines", None),
        ("metrics", "corr2d"),
        ("tracks", "mnist-ad/i2a"),
        ("sources", "speech"),
    ],
)
def test_list(kind: str, wanted: str | None) -> None:
    shown = CliRunner().invoke(app, ["list", kind])
    assert shown.exit_code == 0, shown.output
    rows = json.loads(CliRunner().invoke(app, ["list", kind, "--json"]).stdout)
    assert all(row["name"] in shown.output for row in rows)
    assert wanted is None or wanted in [row["name"] for row in rows]


def test_list_of_something_else() -> None:
    run = xmbench("list", "recipe")
    assert run.returncode == 2
    assert "did you mean 'recipes'" in run.stderr


def test_build_and_validate_in_the_current_directory(tmp_path: Path) -> None:
    run = xmbench("build", "digits-ad", "--limit", "20", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    dataset = open_dataset(tmp_path / "data" / "digits-ad")
    assert f"digest {dataset.digest}" in run.stdout
    assert "train: 20 planned, 20 written, 0 filtered, 0 failed" in run.stdout
    assert "writing 40 rows" in run.stderr
    again = xmbench("build", "digits-ad", "--limit", "20", cwd=tmp_path)
    assert "already built" in again.stderr
    other = xmbench("build", "digits-ad", "--limit", "21", cwd=tmp_path)
    assert other.returncode == 2
    assert "limit: 20 there, 21 now" in other.stderr
    found = xmbench("validate", "data/digits-ad", "--json", cwd=tmp_path)
    assert found.returncode == 0
    assert json.loads(found.stdout)["holds"] is True
    shard = dataset.shards("test")[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 255
    shard.write_bytes(bytes(data))
    broken = xmbench("validate", "data/digits-ad", cwd=tmp_path)
    assert broken.returncode == 1
    assert "problem(s) in this data set" in broken.stderr
    assert "Traceback" not in broken.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["build", "digit-ad"], "did you mean 'digits-ad'"),
        (["build", "./mine.toml"], "no such recipe file"),
        (["build", "digits-ad", "--out", "file/x"], "choose another directory with --out"),
        (["build", "mnist-ad", "--source", "nowhere", "--out", "o"], "no such directory"),
        (["build", "mnist-ad", "--source", ".", "--out", "o"], "4 upstream file(s) of mnist-ad cannot be used"),
        (["build", "digits-ad", "--workers", "0"], "--workers"),
        (["validate", "nowhere"], "no data set here"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "file").write_text("")
    run = xmbench(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr


SLOW = """
import sys, time
from xmbench.builder import rows, shards
from xmbench.cli import main
encode = rows.image.encode_png
def slow(pixels):
    time.sleep(0.02)
    return encode(pixels)
rows.image.encode_png = slow
shards.SHARD_ROWS = 40
main()
"""


def test_ctrl_c_ends_a_build_with_a_message_and_it_resumes_afterwards(corpus: Corpus, tmp_path: Path) -> None:
    recipe, out = tmp_path / "strokes.toml", tmp_path / "out"
    recipe.write_text(toml_of(corpus.single))
    arguments = ["build", str(recipe), "--source", str(corpus.folder), "--out", str(out)]
    command = [sys.executable, "-c", SLOW, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "of 150 rows" in line:
                break
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 2
    assert "interrupted" in rest
    assert "Traceback" not in rest
    assert not (out / "manifest.json").exists()
    assert xmbench("validate", out).returncode == 2
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0
    assert "resuming an earlier build" in run.stderr
    straight = xmbench(*arguments[:-1], tmp_path / "straight")
    assert open_dataset(out).digest == open_dataset(tmp_path / "straight").digest, straight.stderr


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_full_build_on_all_processors_is_interrupted_and_finished(tmp_path: Path, how: signal.Signals) -> None:
    """The whole process group gets Ctrl-C, as from a terminal; workers of a killed parent end too."""
    from tests.conftest import shared

    arguments = ["build", "mnist-ad", "--source", str(shared("data", "mnist")), "--out", str(tmp_path / "out")]
    command = _command(*arguments, "--workers", "2")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "of 70,000 rows" in line:
                break
        if how is signal.SIGINT:
            os.killpg(process.pid, how)
        else:
            process.kill()
        rest = process.stderr.read()  # ends when the last worker has gone
    assert process.returncode == (2 if how is signal.SIGINT else -9)
    assert "Traceback" not in rest
    run = xmbench(*arguments)
    assert run.returncode == 0, run.stderr
    assert "resuming an earlier build" in run.stderr
    straight = xmbench(*arguments[:-1], tmp_path / "straight")
    assert straight.returncode == 0
    assert open_dataset(tmp_path / "out").digest == open_dataset(tmp_path / "straight").digest
