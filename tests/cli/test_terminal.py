"""Any terminal and any moment: other signs where an encoding lacks them, none obeyed, `~`, Ctrl-C while importing."""

from __future__ import annotations

import ast
import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_scoring import PROGRAM, xmbench
from tests.making import submit
from xmbench.cli import main
from xmbench.errors import DocumentError
from xmbench.evaluator.save import score_and_save
from xmbench.formats.dataset import Dataset
from xmbench.printable import plain, visible
from xmbench.storage.files import expanded

COMMANDS = Path(__file__).resolve().parents[2] / "xmbench" / "cli"
NAME = "Größe → “good” ★ 音"


@pytest.fixture(scope="module")
def result(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terminal")
    submit(digits, folder / "submission", system=NAME)
    score_and_save(folder / "submission", digits, folder / "result.json", metrics=["corr2d"])
    return folder / "result.json"


def output(*arguments: object, **environment: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)], env={**os.environ, **environment}, capture_output=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
)
def test_a_character_that_the_encoding_lacks_is_replaced(result: Path, environment: dict[str, str]) -> None:
    code, out, errors = output("compare", result, result, **environment)
    assert code == 0, errors
    latin = environment.get("PYTHONIOENCODING") == "latin-1"
    assert (b"Gr\xf6\xdfe" if latin else b"Grosse") in out
    assert b'-> "good" * ?' in out
    code, out, errors = output("build", NAME, **environment)
    assert code == 2
    assert b"Traceback" not in errors
    assert b"no recipe is called 'Gr" in errors
    for arguments in (("list", "metrics", "--json"), ("compare", result, result, "--json")):
        code, out, errors = output(*arguments, **environment)
        assert code == 0, errors
        assert json.loads(out.decode("ascii"))
    assert output("--help", **environment)[0] == 0


def test_what_a_terminal_would_execute_is_written_out(result: Path, tmp_path: Path) -> None:
    bad = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e\r\x7f"
    shutil.copy(result.with_name("result.items.parquet"), tmp_path)
    data = json.loads(result.read_text())
    data["scores"]["corr2d"]["unit"] = data["protocol"] = data["split"] = bad
    data["environment"]["machine"] = data["submission"]["licence"] = bad
    (tmp_path / "result.json").write_text(json.dumps(data))
    for arguments in (("compare", tmp_path / "result.json", result), ("leaderboard", "add", tmp_path / "result.json")):
        code, out, errors = output(*arguments, "--dir", tmp_path / "b") if "add" in arguments else output(*arguments)
        assert code in (0, 2), errors
        assert not set(b"\x1b\x07\r\x7f") & set(out + errors)
        assert "\u202e".encode() not in out + errors
        assert "\x9b".encode() not in out + errors


def test_control_characters_are_written_as_json_writes_them() -> None:
    assert visible("a\x1b[1m\n\tb\ud800\u200d") == "a\\u001b[1m\n\tb\\ud800\u200d"
    assert json.loads(visible('"\x7f\x9b\u202e"')) == "\x7f\x9b\u202e"
    assert [plain(sign) for sign in "é–×音\udcff"] == ["e", "-", "x", "?", "\\udcff"]


def test_every_command_prints_through_the_terminal_module() -> None:
    for path in COMMANDS.glob("*.py"):
        tree = ast.parse(path.read_text())
        prints = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "print"]
        if prints and path.name not in ("__init__.py", "tables.py", "terminal.py"):
            assert "from xmbench.cli.terminal import print" in path.read_text(), path.name
        assert "ensure_ascii=False" not in path.read_text(), path.name


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_the_output_is_one_message() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [*PROGRAM, "list", "metrics"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2, done.stderr
    assert os.strerror(errno.ENOSPC) in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_closed_output_is_not_an_error() -> None:
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        command = f'"$@" {closed}'
        done = subprocess.run(
            ["sh", "-c", command, "sh", *PROGRAM, "list", "metrics"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), closed


# ------------------------------------------------------------------------------------------------ ~
def test_a_tilde_is_a_home_directory_in_every_path_option(digits: Dataset, tmp_path: Path) -> None:
    done = xmbench("preview", digits.folder, "--out=~/page.html", "--items", 2, HOME=str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.html").is_file()
    assert not (tmp_path / "~").exists()
    done = xmbench("preview", "~/page.html", "--out", "~nobody-of-that-name/x", HOME=str(tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    assert "no user has the home directory '~nobody-of-that-name'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_tilde_of_a_user_and_a_file_with_such_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/x") == tmp_path / "x"
    assert expanded("a/~/x") == Path("a/~/x")
    assert expanded("~root/x") == Path("~root/x").expanduser()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DocumentError, match="home directory"):
        expanded("~nobody-of-that-name")
    (tmp_path / "~nobody-of-that-name").write_text("")
    assert expanded("~nobody-of-that-name") == Path("~nobody-of-that-name")


# ------------------------------------------------------------------------------------------------ Ctrl-C
@pytest.mark.parametrize("raised", ["KeyboardInterrupt", "ImportError"])
def test_ctrl_c_while_the_commands_are_imported(tmp_path: Path, raised: str) -> None:
    """Some libraries turn an interrupt into another exception."""
    slow = "import os, signal, sys\ndef interrupt():\n os.kill(os.getpid(), signal.SIGINT)\n for _ in range(9): pass\n"
    slow += f"try: interrupt()\nexcept KeyboardInterrupt: raise {raised}\n"
    (tmp_path / "typer.py").write_text(slow)
    start = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from xmbench.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", start, "list"], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("interrupted: ")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_in_the_first_moments(tmp_path: Path) -> None:
    for wait_s in (0.06, 0.1, 0.15, 0.25, 0.4):
        marker = tmp_path / "started"
        start = f"open({str(marker)!r}, 'w').close(); from xmbench.cli import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", start, "build", "digits-ad", "--out", str(tmp_path / "d")],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while not marker.exists():
            time.sleep(0.005)
        time.sleep(wait_s)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        marker.unlink()
        assert process.returncode == 2, errors
        assert errors.splitlines()[-1].startswith("interrupted: ")
        assert "Traceback" not in errors


def test_help_costs_less_than_half_a_second_of_one_core() -> None:
    def seconds() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = seconds()
    assert output("--help")[0] == 0
    assert seconds() - before < 0.5


def test_an_error_of_the_system_without_a_number_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As pyarrow raises them, for example for a directory in place of a file."""

    def fails(_: Path) -> None:
        raise OSError("Cannot open for reading: path 'd' is a directory")

    monkeypatch.setattr("xmbench.formats.dataset.open_dataset", fails)
    monkeypatch.setattr("sys.argv", ["xmbench", "preview", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "path 'd' is a directory" in capsys.readouterr().err
