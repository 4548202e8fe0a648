"""A Hub on the loopback interface, and the program run against it in processes of its own.

The client library reads its settings when it is imported. One process imports it once, with the Hub's address, and
forks for every run: a tenth of the time that so many starts would take.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hub import fakehub
from tests.hub.fakehub import TOKEN, FakeHub

TIMEOUT_S = 120

# Pauses are noted and cut short: what counts is how long they would have been.
SHORT_PAUSES = """
import os, time
wait = time.sleep
def sleep(seconds):
    with open(os.environ["PAUSES"], "a") as notes:
        print(seconds, file=notes)
    wait(min(seconds, 0.01))
time.sleep = sleep
"""
PROGRAM = f"{SHORT_PAUSES}\nimport xmbench.cli\nxmbench.cli.main()"
FORKING = (
    SHORT_PAUSES
    + """
import json, sys, traceback
import huggingface_hub.hf_api, xmbench.builder.build, xmbench.cli, xmbench.hub.push
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    for number, path in ((1, job["out"]), (2, job["err"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    for name, value in job["changed"].items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    sys.argv = ["xmbench", *job["arguments"]]
    code = 0
    try:
        xmbench.cli.main()
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
"""
)


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
        self._home = home
        self._notes = home / "pauses"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING_FACE"))}
        self.environment = {
            **kept,
            "HOME": str(home),
            "HF_HOME": str(home / "hf"),
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "*",
            "PAUSES": str(self._notes),
            "XMBENCH_CACHE": str(home / "cache"),
        }
        self._server = self.start(code=FORKING, stdin=True)

    def close(self) -> None:
        """Ends the process that forks."""
        self._server.communicate(timeout=TIMEOUT_S)

    def start(
        self, *arguments: object, code: str = PROGRAM, stdin: bool = False, **changed: str | None
    ) -> subprocess.Popen[str]:
        """Starts a process of its own; `changed` variables are set, or taken out."""
        env = {name: value for name, value in {**self.environment, **changed}.items() if value is not None}
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        )

    def run(self, *arguments: object, code: str = "", alone: bool = False, **changed: str | None) -> Run:
        """Runs the program to its end. Whatever it does, the token is in no output and in no file.

        Args:
            arguments: of the program.
            code: another program.
            alone: a process that is not forked, for variables that the library reads when it is imported.
            changed: variables to set, or to take out.
        """
        self._notes.unlink(missing_ok=True)
        if alone or code:
            out, err = (process := self.start(*arguments, code=code or PROGRAM, stdin=False, **changed)).communicate(
                timeout=TIMEOUT_S
            )
            status = process.returncode
        else:
            changed = {"XMBENCH_CACHE": self.environment["XMBENCH_CACHE"], **changed}
            status, out, err = self._forked([str(argument) for argument in arguments], changed)
        token = changed.get("HF_TOKEN", TOKEN) or TOKEN
        assert token not in out + err
        assert "Traceback" not in err, err
        for path in self._home.rglob("*"):
            assert path.name == "token" or not path.is_file() or token.encode() not in path.read_bytes(), path
        pauses = self._notes.read_text().split() if self._notes.exists() else []
        return Run(status, out, err, tuple(float(text) for text in pauses))

    def _forked(self, arguments: list[str], changed: dict[str, str | None]) -> tuple[int, str, str]:
        out, err = self._home / "out", self._home / "err"
        job = {"arguments": arguments, "changed": changed, "out": str(out), "err": str(err)}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(job), file=self._server.stdin, flush=True)
        assert select.select([self._server.stdout], [], [], TIMEOUT_S)[0], "it hangs"
        return int(self._server.stdout.readline()), out.read_text(), err.read_text()


@pytest.fixture(scope="session")
def _running() -> Iterator[FakeHub]:
    with fakehub.running() as hub:
        yield hub


@pytest.fixture(scope="session")
def _client(_running: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(_running, tmp_path_factory.mktemp("home"))
    yield client
    client.close()


@pytest.fixture
def hub(_running: FakeHub) -> FakeHub:
    _running.reset()
    return _running


@pytest.fixture
def client(_client: Client, hub: FakeHub, tmp_path: Path) -> Client:
    _client.environment["XMBENCH_CACHE"] = str(tmp_path / "cache")
    return _client
