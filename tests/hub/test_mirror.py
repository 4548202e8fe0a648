"""`xmbench build --source hf:OWNER/NAME@REVISION` against a Hub on the loopback interface."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tests.builder.conftest import idx
from tests.hub.conftest import Client, Run
from tests.hub.fakehub import TOKEN, FakeHub, Fault
from tests.recipes import toml_of
from xmbench.builder.plan import load_recipe
from xmbench.errors import UpstreamError
from xmbench.formats.recipe import Recipe
from xmbench.hub.mirror import HubMirror
from xmbench.sources.mnist import FILES

NAME = "someone/mnist"


@pytest.fixture(scope="module")
def upstream() -> dict[str, bytes]:
    """Small files under MNIST's names."""
    rng = np.random.default_rng(1)
    made = {}
    for (_, names), count in zip(FILES.items(), (60, 20), strict=True):
        values = (rng.integers(1, 255, (count, 28, 28)), np.arange(count) % 10)
        made.update({name: idx(array) for name, array in zip(names, values, strict=True)})
    return made


@pytest.fixture(scope="module")
def recipe(upstream: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe mnist-ad with the digests of those files."""
    raw = load_recipe("mnist-ad").model_dump(mode="json", by_alias=True)
    for spec in raw["sources"]["mnist"]["files"]:
        data = upstream[spec["name"]]
        spec.update(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
    path = tmp_path_factory.mktemp("recipe") / "mnist-ad.toml"
    path.write_text(toml_of(Recipe.model_validate(raw)))
    return path


@pytest.fixture
def commit(hub: FakeHub, upstream: dict[str, bytes]) -> str:
    """The commit of a mirror: some files plain, some compressed, in a folder."""
    files = {f"raw/{name}.gz": gzip.compress(data) for name, data in upstream.items() if "train" in name}
    files |= {name: data for name, data in upstream.items() if "t10k" in name}
    repository = hub.repository(NAME, files)
    repository.tags["v1"] = repository.branches["main"]
    return repository.branches["main"]


def built(client: Client, recipe: Path, out: Path, source: str, alone: bool = False, **changed: str | None) -> Run:
    arguments = ("build", recipe, "--out", out, "--workers", 1, "--source", source)
    return client.run(*arguments, code="", alone=alone, **changed)


def test_a_build_from_a_private_mirror_on_the_hub(
    hub: FakeHub, client: Client, recipe: Path, commit: str, upstream: dict[str, bytes], tmp_path: Path
) -> None:
    hub.repositories[NAME].private = True
    done = built(client, recipe, tmp_path / "set", f"hf:{NAME}@v1")
    assert done.code == 0, done.err
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert manifest["mirror"] == f"hf:{NAME}@v1, commit {commit}"
    assert manifest["splits"]["train"]["counts"]["written"] == 60
    assert f"hf:{NAME}@v1, commit {commit}" in (tmp_path / "set" / "README.md").read_text()
    local = tmp_path / "local"
    local.mkdir()
    for name, data in upstream.items():
        (local / name).write_bytes(data)
    assert built(client, recipe, tmp_path / "other", str(local)).code == 0
    other = json.loads((tmp_path / "other" / "manifest.json").read_text())
    assert other["dataset_digest"] == manifest["dataset_digest"]
    asked = len(hub.requests)
    assert built(client, recipe, tmp_path / "again", f"hf:{NAME}@{commit}").code == 0
    assert len(hub.requests) == asked  # everything is in the cache
    assert json.loads((tmp_path / "again" / "manifest.json").read_text())["mirror"] == f"hf:{NAME}@{commit}"


def test_an_interrupted_transfer_is_resumed(
    hub: FakeHub, client: Client, recipe: Path, commit: str, tmp_path: Path
) -> None:
    hub.faults = [Fault("GET", "/storage/", 503, times=2), Fault("GET", "t10k-images", lose_answer=True, times=1)]
    done = built(client, recipe, tmp_path / "set", f"hf:{NAME}@{commit[:10]}", HF_TOKEN=None)
    assert done.code == 0, done.err


def test_what_cannot_be_taken_from_the_hub(
    hub: FakeHub, client: Client, recipe: Path, commit: str, upstream: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "set"
    bad = hub.repository("someone/bad", {**upstream, "t10k-labels-idx1-ubyte": b"x" * 28})
    del bad.files()["train-images-idx3-ubyte"]
    hub.repository("someone/closed", upstream, private=True)
    for source, said in (
        (f"hf:{NAME}@main", f"do:       give its present commit: hf:{NAME}@{commit}"),
        (f"hf:{NAME}@v9", "no such revision"),
        ("hf:no/where@v1", "no such data set on the Hub"),
        ("hf:someone/bad@" + bad.branches["main"], "has no file of this name"),
    ):
        done = built(client, recipe, out, source)
        assert (done.code, said in done.err) == (2, True), done.err
        assert "do:" in done.err
    assert "sha256" in done.err  # of the other file that is wrong there
    done = built(client, recipe, out, "hf:someone/closed@v1", HF_TOKEN=None)
    assert (done.code, "no access token" in done.err) == (2, True), done.err
    done = built(client, recipe, out, f"hf:{NAME}@v1", HF_ENDPOINT="http://127.0.0.1:9", alone=True)
    assert (done.code, "cannot be reached" in done.err) == (2, True), done.err
    assert not out.exists()


@pytest.mark.parametrize(
    "name", ["hf:", "hf:mnist@v1", "hf:a/b", "hf:a/b@", "hf:a/b/c@v1", "hf:a/b@v 1", f"hf:{TOKEN}"]
)
def test_a_revision_is_required(name: str) -> None:
    with pytest.raises(UpstreamError, match="hf:OWNER/NAME@REVISION") as caught:
        HubMirror(name)
    assert TOKEN not in str(caught.value)
