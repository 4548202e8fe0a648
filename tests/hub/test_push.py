"""`xmbench push` with the real client library against a Hub on the loopback interface."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.hub.conftest import Client, Run
from tests.hub.fakehub import TOKEN, FakeHub, Fault
from xmbench.formats.dataset import Dataset

NAME = "me/digits-ad"
NAMES = {"README.md", "manifest.json", "ledger.parquet"}

READ_BACK = """
import hashlib, json, sys
from datasets import Audio, Image, load_dataset
seen = {}
for place in sys.argv[1:]:
    total = hashlib.sha256()
    for split, rows in sorted(load_dataset(place).items()):
        for row in rows.cast_column("audio", Audio(decode=False)).cast_column("image", Image(decode=False)):
            for name, value in sorted(row.items()):
                total.update(f"{split} {name} {value!r}".encode())
    seen[place] = [total.hexdigest(), rows.num_rows]
print(json.dumps(seen))
"""


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def pushed(hub: FakeHub, name: str = NAME, revision: str = "main") -> dict[str, bytes]:
    files = dict(hub.repositories[name].files(revision))
    files.pop(".gitattributes")
    return files


def refused(done: Run, *said: str) -> None:
    assert done.code == 2, done.err
    for text in (*said, "do:"):
        assert text in done.err


def assert_nothing_came_twice(hub: FakeHub) -> None:
    assert max(Counter(hub.puts).values()) == 1


def storage(dataset: Dataset, split: str) -> str:
    return f"/storage/{hashlib.sha256(dataset.shards(split)[0].read_bytes()).hexdigest()}"


# ------------------------------------------------------------------------------------------- what goes up
def test_a_push_makes_the_repository_and_a_second_one_sends_nothing(
    hub: FakeHub, client: Client, digits: Dataset, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    shutil.copytree(digits.folder, folder)
    (folder / "judges").mkdir()
    (folder / "judges" / "judge.json").write_text("{}")
    (folder / "preview.html").write_text("<p>")
    before = content(folder)
    first = client.run("push", folder, NAME)
    assert first.code == 0, first.err
    assert f"{hub.url}/datasets/{NAME}" in first.out
    assert pushed(hub) == content(digits.folder)
    assert not hub.repositories[NAME].private
    assert_nothing_came_twice(hub)
    commits, puts = len(hub.repositories[NAME].commits), len(hub.puts)
    again = client.run("push", folder, NAME)
    assert again.code == 0
    assert "nothing to send" in again.out
    assert (len(hub.repositories[NAME].commits), len(hub.puts)) == (commits, puts)
    assert content(folder) == before


def test_stale_shards_leave_the_repository(hub: FakeHub, client: Client, digits: Dataset) -> None:
    hub.repository(NAME, {"manifest.json": b"{}", "data/train-00000-of-00009.parquet": b"old", "LICENSE": b"mine"})
    assert client.run("push", digits.folder, NAME).code == 0
    assert pushed(hub) == {**content(digits.folder), "LICENSE": b"mine"}


def test_a_repository_of_something_else_is_not_overwritten(hub: FakeHub, client: Client, digits: Dataset) -> None:
    hub.repository(NAME, {"data/mine.parquet": b"precious"})
    refused(client.run("push", digits.folder, NAME), "files that were not pushed by xmbench", "data/mine.parquet")
    assert pushed(hub) == {"data/mine.parquet": b"precious"}


def test_private(hub: FakeHub, client: Client, digits: Dataset) -> None:
    assert client.run("push", digits.folder, NAME, "--private").code == 0
    assert hub.repositories[NAME].private
    hub.repository("me/open")
    refused(client.run("push", digits.folder, "me/open", "--private"), "it is public")
    assert not pushed(hub, "me/open")


def test_a_pull_request_and_going_on_with_it(hub: FakeHub, client: Client, digits: Dataset) -> None:
    hub.repository("them/digits-ad")
    hub.faults = [Fault("POST", "/commit/", lose_answer=True, times=1)]
    done = client.run("push", digits.folder, "them/digits-ad", "--create-pr")
    assert done.code == 0, done.err
    assert len(hub.repositories["them/digits-ad"].requests) == 1
    assert pushed(hub, "them/digits-ad", "refs/pr/1") == content(digits.folder)
    assert not pushed(hub, "them/digits-ad")
    assert_nothing_came_twice(hub)
    again = client.run("push", digits.folder, "them/digits-ad", "--create-pr")
    assert again.code == 0, again.err
    assert f"{hub.url}/datasets/them/digits-ad/discussions/1" in again.out
    assert len(hub.repositories["them/digits-ad"].requests) == 1
    assert_nothing_came_twice(hub)


# ---------------------------------------------------------------------------------------------- licences
@pytest.fixture
def closed(digits: Dataset, tmp_path: Path) -> Path:
    """A data set whose images may not be passed on."""
    folder = tmp_path / "closed"
    shutil.copytree(digits.folder, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["recipe"]["sources"]["digits"]["redistributable"] = False
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_the_licence_gate_and_the_manifest_alone(hub: FakeHub, client: Client, closed: Path) -> None:
    done = client.run("push", closed, NAME)
    refused(done, "may not be redistributed", "digits: Optical Recognition of Handwritten Digits", "--manifest-only")
    assert hub.requests == []
    done = client.run("push", closed, NAME, "--manifest-only")
    assert done.code == 0, done.err
    files = pushed(hub)
    assert set(files) == NAMES
    assert files["manifest.json"] == (closed / "manifest.json").read_bytes()
    card = files["README.md"].decode()
    assert "without the media" in card
    assert "data_files" not in card
    assert "xmbench build digits-ad" in card


def test_the_manifest_alone_takes_media_of_an_earlier_push_away(hub: FakeHub, client: Client, digits: Dataset) -> None:
    assert client.run("push", digits.folder, NAME).code == 0
    assert client.run("push", digits.folder, NAME, "--manifest-only").code == 0
    assert set(pushed(hub)) == NAMES


# -------------------------------------------------------------------------------------- before the upload
def test_an_incomplete_data_set_is_not_pushed(hub: FakeHub, client: Client, digits: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shutil.copytree(digits.folder, folder)
    (folder / "ledger.parquet").unlink()
    refused(client.run("push", folder, NAME), "not complete", "ledger.parquet: missing")
    (shard := next((folder / "data").iterdir())).write_bytes(shard.read_bytes()[:-1])
    refused(client.run("push", folder, NAME), "damaged", shard.name)
    refused(client.run("push", tmp_path, NAME), "no data set here")
    assert hub.requests == []


@pytest.mark.parametrize(
    ("token", "said"),
    [(None, "no access token"), ("hf_wrong0123456789", "does not know the access token"), ("hf_a b", "not allowed")],
)
def test_tokens_that_do_not_do(hub: FakeHub, client: Client, digits: Dataset, token: str | None, said: str) -> None:
    refused(client.run("push", digits.folder, NAME, HF_TOKEN=token), said, "hf auth login")
    assert hub.puts == []
    assert hub.repositories == {}


def test_the_stored_login_is_used_and_named(hub: FakeHub, client: Client, digits: Dataset, tmp_path: Path) -> None:
    home = tmp_path / "hf"
    home.mkdir()
    (home / "token").write_text(TOKEN)
    hub.tokens = set()
    done = client.run("push", digits.folder, NAME, alone=True, HF_TOKEN=None, HF_HOME=str(home))
    refused(done, "does not know the access token of the stored login")
    assert hub.requests


def test_no_right_to_write(hub: FakeHub, client: Client, digits: Dataset) -> None:
    refused(client.run("push", digits.folder, "them/set"), "may not write there (403)", "'them'", "the Hub says")
    hub.repository("them/set")
    refused(client.run("push", digits.folder, "them/set"), "may not write there (403)", "--create-pr")


def test_a_token_for_a_name_is_not_repeated(client: Client, digits: Dataset) -> None:
    done = client.run("push", digits.folder, TOKEN)
    assert done.code == 2
    assert "expected: OWNER/NAME" in done.err


# ------------------------------------------------------------------------------------------- a busy Hub
def test_a_busy_hub_is_waited_for(hub: FakeHub, client: Client, digits: Dataset) -> None:
    hub.faults = [
        Fault("POST", "/repos/create", 429, {"Retry-After": "7"}, times=1),
        Fault("POST", "/preupload/", 429, {"RateLimit": '"api";r=0;t=5'}, times=1),
        Fault("POST", "/objects/batch", 503, {"Retry-After": "3"}, body="<html>busy</html>", times=1),
        Fault("POST", "/validate-yaml", 502, body="<html>busy</html>", times=1),
        Fault("PUT", storage(digits, "train"), 503, times=2),
        Fault("POST", "/commit/", 409, times=1),
    ]
    done = client.run("push", digits.folder, NAME)
    assert done.code == 0, done.err
    for said in ("asks to wait for 7 s (429)", "asks to wait for 5 s (429)", "asks to wait for 3 s (503)", "(409)"):
        assert said in done.err
    assert {7.0, 5.0, 3.0} <= set(done.pauses)
    assert pushed(hub) == content(digits.folder)
    assert_nothing_came_twice(hub)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("POST", "/commit/", 409), "another change to the repository is under way (409)"),
        (Fault("POST", "/repos/create", 409, body="another conflicting operation is in progress"), "is busy (it is"),
        (Fault("POST", "/commit/", 429, {"Retry-After": "86400"}), "asks to wait for 86400 s (429)"),
        (Fault("POST", "/commit/", 429, {"Retry-After": "250"}), "asks to wait for 250 s (429)"),
        (Fault("PUT", "/storage/", 503), "is busy (it answers 503)\n"),
        (Fault("POST", "/commit/", 404, {"X-Error-Code": "RepoNotFound"}), "(404)"),
        (Fault("POST", "/commit/", 402, {"X-Error-Message": f"pay for {TOKEN}"}), "refuses (402)"),
        (Fault("POST", "/validate-yaml", 400, body='{"errors": [{"message": "bad tag"}]}'), "bad tag"),
    ],
    ids=lambda value: None if isinstance(value, str) else f"{value.path.strip('/')}-{value.status}",
)
def test_a_hub_that_keeps_refusing(hub: FakeHub, client: Client, digits: Dataset, fault: Fault, said: str) -> None:
    hub.faults = [fault]
    done = client.run("push", digits.folder, NAME)
    refused(done, said, "error:", "the same command" if fault.status != 404 else "OWNER/NAME")
    assert sum(done.pauses) < 900
    hub.faults = []
    assert client.run("push", digits.folder, NAME).code == 0
    assert_nothing_came_twice(hub)


# ----------------------------------------------------------------------------------- a broken connection
def test_a_push_cut_in_the_middle_and_run_again_reads_back_byte_for_byte(
    hub: FakeHub, client: Client, digits: Dataset
) -> None:
    hub.faults = [Fault("PUT", storage(digits, "test"), cut_after=1000)]
    refused(client.run("push", digits.folder, NAME), "was lost", "run the same command again")
    assert not pushed(hub)
    sent = set(hub.puts)
    assert len(sent) == 2  # the other shard and the ledger
    hub.faults = []
    assert client.run("push", digits.folder, NAME).code == 0
    assert_nothing_came_twice(hub)
    assert len(hub.puts) == 3
    assert pushed(hub) == content(digits.folder)
    read = client.run(NAME, digits.folder, code=READ_BACK, HF_TOKEN=None)
    assert read.code == 0, read.err
    there, here = json.loads(read.out).values()
    assert there == here
    assert here[1] == 40


def test_a_commit_whose_answer_is_lost_is_not_made_twice(hub: FakeHub, client: Client, digits: Dataset) -> None:
    hub.faults = [Fault("POST", "/commit/", lose_answer=True, times=1)]
    assert client.run("push", digits.folder, NAME).code == 0
    assert len(hub.repositories[NAME].commits) == 2
    assert pushed(hub) == content(digits.folder)


def test_no_hub_at_all(client: Client, digits: Dataset) -> None:
    done = client.run("push", digits.folder, NAME, HF_ENDPOINT="http://127.0.0.1:9", alone=True)
    refused(done, "was lost", "run the same command again")
    refused(client.run("push", digits.folder, NAME, HF_HUB_OFFLINE="1", alone=True), "HF_HUB_OFFLINE")


def test_an_interrupt_ends_at_once(hub: FakeHub, client: Client, digits: Dataset) -> None:
    hub.faults = [Fault("POST", "/objects/batch", 429, {"Retry-After": "500"}, times=1)]
    slow = "import sys, xmbench.cli; xmbench.cli.main()"
    process = client.start("push", digits.folder, NAME, code=slow)
    assert process.stderr is not None
    while "asks to wait" not in (line := process.stderr.readline()):
        assert line, "it ended"
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - begun < 5
    assert process.returncode == 2
    assert "run the same command again" in err
