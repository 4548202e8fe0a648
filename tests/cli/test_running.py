"""`run-baseline` as a user sees it: exit codes, messages, Ctrl-C and resuming."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from xmbench.cli.running import parse_settings
from xmbench.errors import DocumentError
from xmbench.formats.dataset import Dataset

PROGRAM = [sys.executable, "-m", "xmbench", "run-baseline"]
SMALL = [
    "--set",
    "widths=[4, 6]",
    "--set",
    "strides=[2, 2]",
    "--set",
    "autoencoder_widths=[24, 16, 16, 16, 24]",
    "--set",
    "code_shape=[4, 4]",
    "--set",
    "generator_hidden=8",
    "--set",
    "autoencoder_min_steps=20",
    "--set",
    "autoencoder_epochs=1",
    "--set",
    "joint_batch=8",
    "--set",
    "joint_epochs=1",
]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def xmbench(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_run_says_where_it_is_and_what_comes_next(tmp_path: Path, digits: Dataset) -> None:
    done = xmbench("random-clip", "--data", digits.folder, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    folder = "runs/digits-ad/random-clip/submission"
    assert done.stdout.splitlines()[-1] == f"next: xmbench score {folder} --data {digits.folder}"
    assert (tmp_path / folder / "submission.json").is_file()
    again = xmbench("random-clip", "--data", digits.folder, cwd=tmp_path)
    assert again.returncode == 2
    assert "--resume" in again.stderr
    control = xmbench("random-clip", "--data", digits.folder, "--resume", "--shuffle-conditions", cwd=tmp_path)
    assert control.returncode == 0
    assert "[conditions shuffled]" in control.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mtnett"], "did you mean 'mtnet'"),
        (["mtnet", "--preset", "lit"], "did you mean 'lite'"),
        (["mtnet", "--set", "joint_lrr=1"], "did you mean 'joint_lr'"),
        (["mtnet", "--set", "joint_lr"], "KEY=VALUE"),
        (["mtnet", "--set", "joint_lr=fast"], "joint_lr"),
        (["mtnet", "--device", "tpu"], "tpu"),
        (["silence", "--verify"], "no expected scores"),
        (["silence", "--seeds", "0,1", "--seed", "0"], "--seed or --seeds"),
        (["silence", "--seeds", "0,0"], "more than once"),
        (["silence", "--seeds", "a"], "like --seeds 0,1,2"),
        (["silence", "--seeds", ""], "like --seeds 0,1,2"),
        (["silence", "--time-limit", "8"], "like 8m, 90s or 1h30m"),
        (["silence", "--seeds", "0,1", "--record"], "--seeds 0,1,2 --record"),
        (["silence", "--seeds", "0,1,2", "--record", "--verify"], "--verify or --record"),
        (["./mine.toml"], "no such baseline file"),
    ],
)
def test_mistakes_are_explained_without_a_traceback(
    tmp_path: Path, digits: Dataset, arguments: list[str], message: str
) -> None:
    done = xmbench(*arguments, "--data", digits.folder, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_no_data_set_and_a_half_built_one(tmp_path: Path) -> None:
    done = xmbench("silence", "--data", "nothing", cwd=tmp_path)
    assert (done.returncode, "no data set here" in done.stderr) == (2, True)
    (tmp_path / "half" / ".build").mkdir(parents=True)
    done = xmbench("silence", "--data", "half", cwd=tmp_path)
    assert (done.returncode, "not finished" in done.stderr) == (2, True)


def test_ctrl_c_then_resume(tmp_path: Path, digits: Dataset) -> None:
    arguments = ["mtnet", "--data", str(digits.folder), "--out", "run", *SMALL, "--set", "joint_min_steps=400"]
    started = subprocess.Popen(
        [*PROGRAM, *arguments], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 90
    while not (tmp_path / "run" / "checkpoints" / "autoencoder.safetensors").exists():
        assert time.monotonic() < deadline
        assert started.poll() is None
        time.sleep(0.02)
    time.sleep(0.2)
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 2
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not (tmp_path / "run" / "submission").exists()
    done = xmbench(*arguments, "--resume", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "autoencoder: already trained" in done.stdout
    assert (tmp_path / "run" / "submission" / "submission.json").is_file()


def test_a_time_limit_has_an_exit_code_of_its_own_and_leaves_no_submission(tmp_path: Path, digits: Dataset) -> None:
    arguments = ["nearest-class-clip", "--data", digits.folder, "--set", "min_steps=1000000", "--time-limit", "1s"]
    first = xmbench(*arguments, cwd=tmp_path)
    assert first.returncode == 3
    assert first.stderr.startswith("unfinished: the time limit has come: classifier is at step ")
    folder = tmp_path / "runs" / "digits-ad" / "nearest-class-clip"
    assert (folder / "checkpoints" / "classifier.pt").is_file()
    assert (folder / "curves.png").is_file()
    assert not (folder / "submission").exists()
    second = xmbench(*arguments, "--resume", cwd=tmp_path)
    assert second.returncode == 3
    assert "classifier: resumes at step " in second.stdout


def test_several_seeds_end_in_one_table_and_resume_after_a_kill(tmp_path: Path, digits: Dataset) -> None:
    arguments = ["random-clip", "--data", str(digits.folder), "--seeds", "0,1,2"]
    started = subprocess.Popen([*PROGRAM, *arguments], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    folder = tmp_path / "runs" / "digits-ad" / "random-clip"
    deadline = time.monotonic() + 90
    while not (folder / "seed-1" / "run.json").exists():
        assert time.monotonic() < deadline
        assert started.poll() is None
        time.sleep(0.002)
    started.kill()
    started.wait()
    done = xmbench(*arguments, "--resume", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "seed 0 (1 of 3): already finished" in done.stdout
    lines = done.stdout.splitlines()
    heads = next(i for i, line in enumerate(lines) if line.split()[:2] == ["seed", "training"])
    assert [line.split()[0] for line in lines[heads + 2 : heads + 5]] == ["0", "1", "2"]
    assert lines[-1].startswith("next: xmbench score runs/digits-ad/random-clip/seed-2/submission")
    for seed in range(3):
        assert (folder / f"seed-{seed}" / "submission" / "submission.json").is_file()


def test_settings_are_toml_values() -> None:
    found = parse_settings(["a=1", "b = 1e-4", "c=[1, 2]", "d=true", 'e="x"', "f=sample"])
    assert found == {"a": 1, "b": 1e-4, "c": [1, 2], "d": True, "e": "x", "f": "sample"}
    with pytest.raises(DocumentError) as caught:
        parse_settings(["a", "=1", "b="])
    assert caught.value.problems == ("a", "=1", "b=")
