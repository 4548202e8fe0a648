"""Records of stored judges: one document, read in either version, from a file or from an address."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xmbench import registry
from xmbench.conformance.judges import check_judge
from xmbench.errors import PrerequisiteError
from xmbench.formats.dataset import Dataset
from xmbench.formats.items import read_examples
from xmbench.interfaces import FittableKind, JudgeKind
from xmbench.judges import fetching
from xmbench.judges.records import read_judge, read_record, shipped
from xmbench.media.signal import Media, Picture, Sound

BUILT_IN = ("digits", "words")


def file_of(name: str) -> Path:
    return next(path for path in shipped() if path.stem == name)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_kinds_keep_what_judges_promise(name: str, digits: Dataset) -> None:
    kind = registry.judge(name)
    assert isinstance(kind, FittableKind)
    assert kind.weights is not None
    test = read_examples(digits, "test")
    rate = digits.recipe.audio.sample_rate_hz
    items: list[Media] = [Picture(image) for image in test.images[:4]]
    if kind.modality == "audio":
        items = [Sound(test.clips[k].astype("float32") / 32768, rate) for k in range(4)]
    for path in sorted(kind.weights.glob("*.safetensors"))[:2]:
        check_judge(kind, path.read_bytes(), items)


def test_a_card_of_version_1_says_the_same(tmp_path: Path) -> None:
    path = file_of("digits-second")
    now = json.loads(path.read_text())
    before: dict[str, Any] = {"schema": "xmbench/judge/1", "words": now["classes"], **now["details"]}
    before |= {key: now[key] for key in ("name", "sha256", "bytes", "command", "seed", "data", "versions")}
    before["accuracy"] = now["accuracy"]
    (tmp_path / "digits-second.json").write_text(json.dumps(before))
    (tmp_path / "digits-second.safetensors").write_bytes(path.with_suffix(".safetensors").read_bytes())
    found = read_record(tmp_path / "digits-second.json")
    later: dict[str, Any] = {"sees": "", "false_accepts": {}, "calibration": {}, "voices": {}}
    assert found == read_record(path).model_copy(update=later)
    assert (found.role, found.kind, found.embedding_size) == ("second", "words", 64)


def test_weights_that_are_not_those_of_the_record_are_refused(tmp_path: Path) -> None:
    path = file_of("digits")
    (tmp_path / "digits.json").write_text(path.read_text())
    (tmp_path / "digits.safetensors").write_bytes(file_of("digits-second").with_suffix(".safetensors").read_bytes())
    with pytest.raises(PrerequisiteError, match="not the judge that its record describes"):
        read_judge(tmp_path / "digits.json")
    (tmp_path / "digits.safetensors").unlink()
    with pytest.raises(PrerequisiteError, match="no such file"):
        read_judge(tmp_path / "digits.json")


def test_a_record_with_a_strange_key_or_kind_is_refused(tmp_path: Path) -> None:
    known = json.loads(file_of("digits").read_text())
    (tmp_path / "digits.safetensors").write_bytes(file_of("digits").with_suffix(".safetensors").read_bytes())
    for damage in ({"ear": 1}, {"sha256": "x"}, {"bytes": 0}, {"role": "third"}, {"address": "ftp://x"}):
        (tmp_path / "digits.json").write_text(json.dumps(known | damage))
        with pytest.raises(PrerequisiteError, match="record cannot be read"):
            read_record(tmp_path / "digits.json")


# ---------------------------------------------------------------------------------------------- addresses
@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Serves a directory on the loopback; records what is requested."""
    asked: list[str] = []
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, format: str, *args: Any) -> None:
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def test_weights_are_fetched_once(
    server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, asked = server
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    weights = file_of("digits").with_suffix(".safetensors").read_bytes()
    (tmp_path / "served" / "w").write_bytes(weights)
    record = json.loads(file_of("digits").read_text()) | {"address": f"{address}/w"}
    (tmp_path / "digits.json").write_text(json.dumps(record))
    for _ in range(2):
        assert read_judge(tmp_path / "digits.json").weights == weights
    assert asked == ["/w"]
    assert fetching.cached(record["sha256"]) is not None


def test_another_file_a_longer_one_or_none_is_refused(
    server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = server
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "served" / "w").write_bytes(b"0123456789" * 1000)
    cut = hashlib.sha256(b"01234567").hexdigest()
    with pytest.raises(PrerequisiteError, match="not the one of its record"):
        fetching.fetched(f"{address}/w", "0" * 64, 10_000)
    with pytest.raises(PrerequisiteError, match="not the one of its record"):
        fetching.fetched(f"{address}/w", cut, 8)
    with pytest.raises(PrerequisiteError, match="cannot be fetched"):
        fetching.fetched(f"{address}/none", cut, 8)
    assert not list((tmp_path / "cache").rglob("*.safetensors*"))


def test_a_device_that_is_not_there_is_named() -> None:
    kinds: list[JudgeKind] = [registry.judge(name) for name in BUILT_IN]
    for kind in kinds:
        assert kind.weights is not None
        weights = next(iter(sorted(kind.weights.glob("*.safetensors")))).read_bytes()
        for device in ("cuda:99", "meta", "abacus"):
            with pytest.raises(PrerequisiteError, match=f"cannot compute on '{device}'"):
                kind.load(weights, device)
