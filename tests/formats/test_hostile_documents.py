"""Documents that were cut, emptied, edited or made to hurt: one message that names the file, in bounded time."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from xmbench import content
from xmbench.errors import DocumentError
from xmbench.formats.baseline import Baseline
from xmbench.formats.dataset import Dataset, Manifest
from xmbench.formats.document import load_json, load_toml
from xmbench.formats.extremes import refuse_extremes
from xmbench.formats.recipe import Recipe
from xmbench.formats.result import Result
from xmbench.formats.submission import Submission

DEEP = 100_000
JSON_KINDS: dict[type[BaseModel], str] = {
    Manifest: "not a dataset manifest",
    Submission: "not a submission document",
    Result: "not a result",
}
HURTING = {
    "emptied": b"",
    "white space": b" \n",
    "zeros": bytes(300),
    "another type": b"[1, 2]",
    "null": b"null",
    "a number": b"3",
    "lists in lists": b"[" * DEEP + b"]" * DEEP,
    "tables in tables": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "1,000 tables": b'{"a":' * 900 + b"1" + b"}" * 900,
    "a key twice": b'{"schema": "x", "schema": "y"}',
    "a million keys": json.dumps(dict.fromkeys(map(str, range(200_000)), 0)).encode(),
    "a key of 1 MB": json.dumps({"schema": "x", "k" * 1_000_000: 1}).encode(),
    "NaN": b'{"schema": NaN}',
    "infinite": b'{"schema": 1e999}',
    "a megabyte of digits": b'{"schema": ' + b"9" * 1_000_000 + b"}",
    "beyond 64 bits": b'{"schema": 99999999999999999999}',
    "half a sign": b'{"schema": "\\ud800"}',
    "Latin-1": '{"schema": "é"}'.encode("latin-1"),
    "UTF-16": '{"schema": "é"}'.encode("utf-16"),
    "a web page": b"<!doctype html><title>404</title>",
}


@pytest.mark.parametrize("kind", JSON_KINDS)
def test_a_document_that_hurts_is_named_in_bounded_time(tmp_path: Path, kind: type[BaseModel]) -> None:
    for name, raw in HURTING.items():
        path = tmp_path / f"{name}.json"
        path.write_bytes(raw)
        started = time.process_time()
        with pytest.raises(DocumentError) as caught:
            load_json(path, kind)
        assert time.process_time() - started < 3, name
        assert JSON_KINDS[kind] in caught.value.what, name
        assert caught.value.where == str(path)
        assert caught.value.todo
        assert len(str(caught.value)) < 3000, name


def test_a_manifest_cut_anywhere_is_named(digits: Dataset, tmp_path: Path) -> None:
    whole = digits.manifest.to_json()
    path = tmp_path / "manifest.json"
    for cut in range(0, len(whole) - 2, max(1, len(whole) // 60)):
        path.write_text(whole[:cut])
        with pytest.raises(DocumentError, match="not a dataset manifest") as caught:
            load_json(path, Manifest)
        assert "--rebuild" in str(caught.value)
    path.write_text("\ufeff" + whole, encoding="utf-8")  # as some editors save it
    assert load_json(path, Manifest) == digits.manifest


def _with(path: Path, *changes: tuple[str, str]) -> str:
    text = path.read_text()
    for pattern, replacement in changes:
        text, count = re.subn(pattern, lambda _, r=replacement: r, text, count=1, flags=re.MULTILINE)  # type: ignore[misc]
        assert count, pattern
    return text


RECIPE_EDITS: dict[str, Callable[[Path], str]] = {
    "samples": lambda path: _with(path, (r"^samples = .*", "samples = 1_000_000_000_000")),
    "an infinite clip": lambda path: _with(path, (r"^max_duration_s = .*", "max_duration_s = inf")),
    "NaN": lambda path: _with(path, (r"^min_duration_s = .*", "min_duration_s = nan")),
    "a long clip": lambda path: _with(path, (r"^max_duration_s = .*", "max_duration_s = 1e12")),
    "a long word": lambda path: _with(path, (r"^words = \[", f'words = ["{"a" * 100_000}", ')),
    "a dotted key": lambda path: path.read_text() + "\n" + "a." * DEEP + "a = 1\n",
    "a dotted key inside": lambda path: path.read_text() + "\nx = [{" + "a . " * DEEP + "a = 1}]\n",
    "a dotted table": lambda path: path.read_text() + "\n[" + "a." * DEEP + "a]\n",
    "nested lists": lambda path: "x = " + "[" * DEEP + "]" * DEEP,
    "nested tables": lambda path: "x = " + "{a=" * DEEP + "1" + "}" * DEEP,
    "digits": lambda path: "x = " + "9" * 1_000_000,
    "a large number": lambda path: _with(path, (r"^samples = .*", "samples = 99999999999999999999")),
    "a schema that is a table": lambda path: _with(path, (r"^schema = .*", "schema = {a = 1}")),
    "emptied": lambda path: "",
}


@pytest.mark.parametrize("name", RECIPE_EDITS)
def test_a_recipe_that_hurts_is_named_in_bounded_time(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE_EDITS[name](content.find("recipes", "digits-ad")))
    for kind in (Recipe, Baseline):
        started = time.process_time()
        with pytest.raises(DocumentError) as caught:
            load_toml(path, kind)
        assert time.process_time() - started < 3
        assert caught.value.what.startswith(f"not a {kind.__name__.lower()}")
        assert len(str(caught.value)) < 3000


def test_a_million_classes_are_too_many(tmp_path: Path) -> None:
    names = ", ".join(f'"c{number}"' for number in range(100_000))
    changes = ((r"^names = \[[^\]]*\]", f"names = [{names}]"), (r"^words = \[[^\]]*\]", "words = []"))
    (tmp_path / "mine.toml").write_text(_with(content.find("recipes", "digits-ad"), *changes))
    with pytest.raises(DocumentError, match=r"classes\.names: Tuple should have at most"):
        load_toml(tmp_path / "mine.toml", Recipe)


def test_toml_of_windows_editors_is_read(tmp_path: Path) -> None:
    found = content.find("recipes", "digits-ad")
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbf" + found.read_bytes().replace(b"\n", b"\r\n"))
    assert load_toml(tmp_path / "mine.toml", Recipe).digest == load_toml(found, Recipe).digest
    (tmp_path / "mine.toml").write_bytes(found.read_text().encode("utf-16"))
    with pytest.raises(DocumentError, match=r"not a recipe: not a TOML file .*utf-8"):
        load_toml(tmp_path / "mine.toml", Recipe)


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(_values)
def test_what_survives_the_bounds_can_be_written_again(data: Any) -> None:
    try:
        refuse_extremes(data)
    except ValueError:
        return
    assert json.loads(json.dumps(data, ensure_ascii=False).encode()) == data
