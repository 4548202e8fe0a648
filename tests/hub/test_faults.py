"""A Hub, or something in between, that answers 200 with what is no answer: one message, whatever the call."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.hub.conftest import SHORT_PAUSES, Client
from tests.hub.fakehub import TOKEN, FakeHub, Fault
from xmbench.errors import UpstreamError
from xmbench.formats.dataset import Dataset
from xmbench.hub.mirror import HubMirror
from xmbench.hub.names import is_repository, is_revision
from xmbench.hub.throttle import BoundedTransport

JSON = {"Content-Type": "application/json"}
TEXT = '{"id": "me/set", "sha": "' + "0" * 40 + '"}'
KINDS: dict[str, tuple[int, Mapping[str, str], str | bytes]] = {
    "a list": (200, JSON, "[]"),
    "null": (200, JSON, "null"),
    "an empty object": (200, JSON, "{}"),
    "a number": (200, JSON, "7"),
    "a page": (200, {"Content-Type": "text/html"}, "<html><body>Please log in to the guest network</body></html>"),
    "another encoding": (200, JSON, TEXT.encode("utf-16")),
    "no encoding at all": (200, JSON, b'{"id": "\xff\xfe\x80"}'),
    "half an object": (200, JSON, TEXT[:30]),
    "nothing": (200, JSON, ""),
    "deep": (200, JSON, "[" * 100_000),
    "gigantic": (200, JSON, b"[" + b"0," * 4_000_000 + b"0]"),
    "compressed": (200, {**JSON, "Content-Encoding": "gzip"}, gzip.compress(bytes(10_000_000))),
    "other types": (200, JSON, '{"id": 7, "sha": [1], "siblings": [{"rfilename": 3}], "branches": 4, "url": {}}'),
    "other names": (200, JSON, '{"id": "me/set", "sha": "../..", "siblings": [{"rfilename": "../a\\u001b[31m"}]}'),
    "a loop": (302, {"Location": "/api/again"}, ""),
}
# One process for all of them: it asks the server for the fault before each try, and prints how it ended.
SWEEP = """
import json, sys, time, urllib.request
from pathlib import Path
from xmbench.errors import XmbenchError
from xmbench.formats.dataset import open_dataset
from xmbench.formats.recipe import FileSpec
from xmbench.hub.mirror import HubMirror
from xmbench.hub.push import push
import os
def control(path):
    return json.load(urllib.request.urlopen(os.environ["HF_ENDPOINT"] + "/control/" + path))
data = open_dataset(Path(sys.argv[1]))
spec = FileSpec(name="README.md", urls=("https://example.org/x",), sha256="0" * 64, bytes=1)
def look():
    HubMirror("hf:someone/mnist@v1").urls(spec)
works = {
    "push": lambda: push(data, "me/set", progress=lambda line: None),
    "propose": lambda: push(data, "me/set", manifest_only=True, create_pr=True, progress=lambda line: None),
    "look": look,
}
for name, work in works.items():
    for kind in range(int(sys.argv[2])) if name != "propose" else (0, 2):
        for call in range(40):
            control(f"{kind}/{call}")
            start, said = time.monotonic(), ""
            try:
                work()
            except XmbenchError as error:
                said = str(error)
            met = control("met")
            print(json.dumps([name, kind, call, said, time.monotonic() - start]))
            if not met:
                break
"""


def test_every_call_of_a_push_and_of_a_look_up_survives_every_answer(
    hub: FakeHub, client: Client, digits: Dataset
) -> None:
    kinds = list(KINDS)

    def control(path: str) -> Any:
        if path.endswith("met"):
            return hub.faults[0].times == 0
        kind, call = map(int, path.removeprefix("/control/").split("/"))
        status, headers, body = KINDS[kinds[kind]]
        hub.repositories.clear()
        hub.blobs.clear()
        mirror = hub.repository("someone/mnist", {"README.md": b"x"})
        mirror.tags["v1"] = mirror.branches["main"]
        hub.repository("me/set")
        hub.faults = [Fault("", "", status, headers, body, after=call, times=1)]
        if status == 302:
            hub.faults.append(Fault("", "/api/again", status, headers, body))
        return {}

    hub.control = control
    try:
        done = client.run(digits.folder, len(kinds), code=SHORT_PAUSES + SWEEP, XMBENCH_MAX_BYTES="4000000")
    finally:
        hub.control = None
    assert done.code == 0, done.err[-2000:]
    tried = [json.loads(line) for line in done.out.splitlines()]
    assert {name for name, *_ in tried} == {"push", "propose", "look"}
    for name, kind, call, said, seconds in tried:
        told = f"{name}, {kinds[kind]}, call {call}: {said}"
        assert seconds < 20, told
        assert len(said) < 3000, told
        assert "\x1b" not in said, told
        assert not said or ("do:" in said and "where:" in said), told
    refused = {(name, kinds[kind]) for name, kind, _, said, _ in tried if said}
    assert refused == {(name, kind) for name in ("push", "look") for kind in KINDS} | {
        ("propose", kind) for kind in ("a list", "an empty object")
    }
    # The last try of each kind comes after the last call: nothing was in its way.
    whole = {(name, kind): said for name, kind, _, said, _ in tried}
    assert set(whole.values()) == {""}


def test_an_answer_a_byte_at_a_time_ends_in_time(hub: FakeHub) -> None:
    hub.faults = [Fault("GET", "/api", 200, pause_s=0.02)]
    start = time.monotonic()
    with httpx.Client(transport=BoundedTransport(0.4)) as client, pytest.raises(httpx.ReadTimeout, match="no answer"):
        client.get(f"{hub.url}/api/datasets/a/b")
    assert time.monotonic() - start < 5


def test_an_answer_that_is_larger_than_any_is_not_read(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_MAX_BYTES", "1000")
    hub.faults = [Fault("GET", "/api", 200, body="x" * 5000)]
    with httpx.Client(transport=BoundedTransport(5)) as client, pytest.raises(httpx.DecodingError, match="1,000 bytes"):
        client.get(f"{hub.url}/api/datasets/a/b")


def test_a_slow_answer_to_a_look_up_is_a_message(hub: FakeHub, client: Client, tmp_path: Path) -> None:
    hub.faults = [Fault("GET", "/api", 200, pause_s=0.02)]
    code = SHORT_PAUSES + "import xmbench.hub.mirror as m; m.TIMEOUT_S = 0.4\nimport xmbench.cli\nxmbench.cli.main()"
    done = client.run("build", "mnist-ad", "--out", tmp_path / "set", "--limit", 10, "--source", "hf:a/b@v1", code=code)
    assert done.code == 2, done.err
    assert "cannot be reached" in done.err


@pytest.mark.parametrize(
    "name",
    [
        *("../..@v1", "a/..@v1", "../b@v1", "./b@v1", "a/.@v1", "a/b@../..", "a/b@v1/../..", "a/b@/v1", "a/b@v1/"),
        *("a/b%2f..@v1", "a/b@%2e%2e", "a/b@v1?x=1", "a/b@v1#x", "a/b@v1\n", "a/b\n@v1", "a/b@\u0661", "\u0661/b@v1"),
        *("a/b@v1@v2", "a//b@v1", "a/b@v..1", "-a/b@v1", "a/b@-v1", "a/b@v1\x00", "a/\udcff@v1", f"{TOKEN}/../x@v1"),
        *("a" * 100_000 + "/b@v1", "a/b@" + "1" * 100_000),
    ],
)
def test_names_that_lead_elsewhere_are_refused_before_any_request(name: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        HubMirror(f"hf:{name}")
    said = str(caught.value)
    assert TOKEN not in said
    assert len(said) < 1000
    assert all(line.isprintable() for line in said.split("\n"))


@pytest.mark.parametrize("name", ["me/set", "a/b.c-d_e", "A0/_x", "org-name/data.set", "0/1"])
def test_real_names_of_repositories_are_taken(name: str) -> None:
    assert is_repository(name)
    assert str(HubMirror(f"hf:{name}@refs/pr/1")) == f"hf:{name}@refs/pr/1"


@pytest.mark.parametrize("name", ["v1", "v1.0-rc.1", "0123abc", "refs/pr/12", "feature/some_thing"])
def test_real_revisions_are_taken(name: str) -> None:
    assert is_revision(name)
