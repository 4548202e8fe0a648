"""Upstream files: local folders, mirrors on the loopback, and every way in which they can be wrong."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.builder.conftest import Corpus
from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.builder.upstream import fetch
from xmbench.builder.upstream.fetch import obtain
from xmbench.errors import OutputError, UpstreamError
from xmbench.formats.recipe import Recipe
from xmbench.hub.mirror import place_of

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class Mirror:
    """A server on the loopback; `files` by path, `broken` paths stop half-way once, `asked` is a log."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.broken: set[str] = set()
        self.asked: list[tuple[str, str | None]] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.answer(self)

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        self.asked.append((handler.path, wanted))
        data = self.files.get(handler.path)
        if data is None:
            handler.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(data):
            handler.send_error(416)
            return
        handler.send_response(206 if wanted else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        body = data[start:]
        if handler.path in self.broken:
            self.broken.discard(handler.path)
            body = body[: len(body) // 2]
        handler.wfile.write(body)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setattr(fetch, "PAUSE_S", 0.0)
    made = Mirror()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(corpus: Corpus, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpus.folder, tmp_path / "upstream"))


def local(recipe: Recipe, folder: Path | None, offline: bool = True) -> dict[str, fetch.VerifiedFiles]:
    return obtain(recipe, folder, offline=offline, progress=lambda line: None)


def with_urls(recipe: Recipe, *bases: str) -> Recipe:
    raw = recipe.model_dump(mode="json", by_alias=True)
    for spec in raw["sources"]["mnist"]["files"]:
        spec["urls"] = [f"{base}/{spec['name']}.gz" for base in bases]
    return Recipe.model_validate(raw)


def serve(mirror: Mirror, folder: Path, base: str = "") -> None:
    for name in NAMES:
        mirror.files[f"{base}/{name}.gz"] = (folder / f"{name}.gz").read_bytes()


def test_raw_and_compressed_files_are_the_same(corpus: Corpus, folder: Path) -> None:
    wanted = local(corpus.single, folder)["mnist"].read(NAMES[0])
    path = folder / f"{NAMES[0]}.gz"
    (folder / NAMES[0]).write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    files = pickle.loads(pickle.dumps(local(corpus.single, folder)["mnist"]))
    assert files.read(NAMES[0]) == wanted
    assert set(files.names()) == set(NAMES)


def test_all_wrong_files_are_listed_at_once(corpus: Corpus, folder: Path) -> None:
    (folder / f"{NAMES[0]}.gz").write_bytes((folder / f"{NAMES[0]}.gz").read_bytes()[:-50])
    data = gzip.decompress((folder / f"{NAMES[1]}.gz").read_bytes())
    (folder / f"{NAMES[1]}.gz").write_bytes(gzip.compress(data[:-1] + b"\xff"))
    (folder / f"{NAMES[2]}.gz").unlink()
    (folder / f"{NAMES[3]}.gz").write_bytes(b"<!DOCTYPE html><title>Quota exceeded</title>")
    with pytest.raises(UpstreamError) as caught:
        local(corpus.single, folder)
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "damaged gzip file" in text
    assert hashlib.sha256(data).hexdigest() in text  # the expected one
    assert "missing" in text
    assert "web page" in text
    assert "--source DIR" in text


@pytest.mark.parametrize(("change", "said"), [(b"", "expected"), (b"more", "more than")])
def test_wrong_sizes_say_found_and_expected(corpus: Corpus, folder: Path, change: bytes, said: str) -> None:
    path = folder / f"{NAMES[1]}.gz"
    data = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(data + change if change else data[:50]))
    with pytest.raises(UpstreamError, match=said) as caught:
        local(corpus.single, folder)
    assert str(len(data)) in str(caught.value)


def test_a_file_that_changes_after_the_check(corpus: Corpus, folder: Path) -> None:
    files = local(corpus.single, folder)["mnist"]
    (folder / f"{NAMES[1]}.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(UpstreamError, match="bytes uncompressed"):
        files.read(NAMES[1])
    with pytest.raises(UpstreamError, match="does not list"):
        files.read("unheard-of")


def test_a_bad_directory_stops_a_build_before_anything_is_made(corpus: Corpus, folder: Path, tmp_path: Path) -> None:
    (folder / f"{NAMES[2]}.gz").unlink()
    with pytest.raises(UpstreamError):
        build(corpus.single, tmp_path / "out", source=folder)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UpstreamError, match="no such directory"):
        build(corpus.single, tmp_path / "out", source=tmp_path / "nowhere")
    with pytest.raises(UpstreamError, match="not a revision of a data set on the Hub"):
        build(corpus.single, tmp_path / "out", source=place_of("hf:someone/mnist"))


def test_a_mirror_is_used_once(corpus: Corpus, mirror: Mirror) -> None:
    serve(mirror, corpus.folder)
    recipe = with_urls(corpus.single, mirror.url)
    wanted = local(corpus.single, corpus.folder)["mnist"].read(NAMES[0])
    assert local(recipe, None, offline=False)["mnist"].read(NAMES[0]) == wanted
    asked = len(mirror.asked)
    assert asked == 4
    assert local(recipe, None, offline=True)["mnist"].read(NAMES[0]) == wanted
    assert len(mirror.asked) == asked


def test_the_next_mirror_is_tried(corpus: Corpus, mirror: Mirror) -> None:
    serve(mirror, corpus.folder, "/good")
    for name in NAMES:
        mirror.files[f"/page/{name}.gz"] = b"<html>please log in</html>"
    recipe = with_urls(corpus.single, f"{mirror.url}/gone", f"{mirror.url}/page", f"{mirror.url}/good")
    assert local(recipe, None, offline=False)["mnist"].read(NAMES[3])


def test_a_broken_transfer_resumes_where_it_stopped(corpus: Corpus, mirror: Mirror) -> None:
    serve(mirror, corpus.folder)
    path = f"/{NAMES[0]}.gz"
    mirror.broken.add(path)
    local(with_urls(corpus.single, mirror.url), None, offline=False)
    ranges = [wanted for asked, wanted in mirror.asked if asked == path]
    assert ranges == [None, f"bytes={len(mirror.files[path]) // 2}-"]


def test_a_damaged_copy_in_the_cache_is_fetched_again(corpus: Corpus, mirror: Mirror, tmp_path: Path) -> None:
    serve(mirror, corpus.folder)
    recipe = with_urls(corpus.single, mirror.url)
    local(recipe, None, offline=False)
    for path in (tmp_path / "cache" / "upstream").rglob(NAMES[1]):
        path.write_bytes(b"rubbish")
    assert local(recipe, None, offline=False)["mnist"].read(NAMES[1])


def test_no_mirror_answers(corpus: Corpus, mirror: Mirror) -> None:
    with pytest.raises(UpstreamError) as caught:
        local(with_urls(corpus.single, mirror.url, "http://127.0.0.1:9"), None, offline=False)
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "404" in text
    assert "unreachable" in text


def test_offline_says_so(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="--offline forbids") as caught:
        build(load_recipe("mnist-ad"), tmp_path / "out", offline=True)
    assert "--source DIR" in str(caught.value)


def test_a_cache_that_cannot_be_written(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputError, match="XMBENCH_CACHE"):
        build(corpus.single, tmp_path / "out", source=corpus.folder)
    assert not (tmp_path / "out").exists()
