"""A Hub on the loopback interface, and the program run against it in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hub import fakehub
from tests.hub.fakehub import TOKEN, FakeHub

# Pauses are noted and cut short: what counts is how long they would have been.
PROGRAM = """
import os, time
wait = time.sleep
def sleep(seconds):
    with open(os.environ["PAUSES"], "a") as notes:
        print(seconds, file=notes)
    wait(min(seconds, 0.01))
time.sleep = sleep
from xmbench.cli import main
main()
"""


@dataclass(frozen=True)
class Run:
    """How a run of the program ended."""

    code: int
    out: str
    err: str
    pauses: tuple[float, ...]


class Client:
    """The program with a home of its own, which knows the Hub by HF_ENDPOINT."""

    def __init__(self, hub: FakeHub, home: Path) -> None:
        self._notes = home / "pauses"
        self._home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING_FACE"))}
        self.environment = {
            **kept, "HOME": str(home), "HF_HOME": str(home / "hf"), "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*", "PAUSES": str(self._notes),
            "XMBENCH_CACHE": str(home / "cache"), "PYTHONWARNINGS": "default",
        }  # fmt: skip

    def start(self, *arguments: object, code: str = PROGRAM, **changed: str | None) -> subprocess.Popen[str]:
        """Starts the program; `changed` variables are set, or taken out."""
        env = {name: value for name, value in {**self.environment, **changed}.items() if value is not None}
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *arguments: object, code: str = PROGRAM, **changed: str | None) -> Run:
        """Runs the program to its end. Whatever it does, the token is in no output and in no file."""
        self._notes.unlink(missing_ok=True)
        out, err = (process := self.start(*arguments, code=code, **changed)).communicate(timeout=60)
        token = changed.get("HF_TOKEN", TOKEN) or TOKEN
        assert token not in out + err
        assert "Traceback" not in err, err
        for path in self._home.rglob("*"):
            assert path.name == "token" or not path.is_file() or token.encode() not in path.read_bytes(), path
        pauses = self._notes.read_text().split() if self._notes.exists() else []
        return Run(process.returncode, out, err, tuple(float(text) for text in pauses))


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fakehub.running() as hub:
        yield hub


@pytest.fixture
def client(hub: FakeHub, tmp_path: Path) -> Client:
    (home := tmp_path / "home").mkdir()
    return Client(hub, home)
