"""What the documentation says about adding a language or an engine, done as it says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.plugins import plug_in
from xmbench import catalogue, content, registry
from xmbench.builder import plan
from xmbench.builder.build import build
from xmbench.builder.speech_override import override_speech
from xmbench.errors import DatasetError, DocumentError, UnknownNameError
from xmbench.inspection.validate import validate


def section() -> dict[str, list[str]]:
    """The blocks of the page, by language."""
    blocks = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "docs" / "extending.md").read_text(), re.DOTALL)
    return {language: [body for found, body in blocks if found == language] for language, _ in blocks}


def beep() -> str:
    return section()["python"][0]


def test_the_engine_has_ten_lines() -> None:
    code = beep()
    body = code[code.index("class Beep") : code.index("ENGINE =")]
    assert len([line for line in body.splitlines() if line.strip()]) <= 10
    assert 'xmbench.engines"]' in section()["toml"][1]


def test_an_engine_of_a_third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, tmp_path / "plugin", "beep", beep())
    assert "beep" in registry.names("engines")
    assert "beep" in [row["name"] for row in catalogue.rows("engines")]
    recipe = plan.load_recipe("digits-ad")
    dataset = build(recipe, tmp_path / "out", limit=20, speech="beep")
    rows = list(dataset.rows("train", ["speaker", "engine", "rate_wpm", "pitch"]))
    assert {(row["speaker"], row["engine"], row["rate_wpm"], row["pitch"]) for row in rows} == {
        ("low", "beep 1", "120", "")
    }
    assert validate(dataset).problems == []


def test_the_engine_of_speech_makes_another_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, tmp_path / "plugin", "beep", beep())
    recipe = plan.load_recipe("digits-ad")
    out = tmp_path / "out"
    dataset = build(recipe, out, limit=20, speech="beep")
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["speech"] == "beep"
    assert manifest["recipe_digest"] == dataset.recipe.digest != recipe.digest
    assert dataset.recipe.sources["speech"].options["engine"] == "beep"
    card = (out / "README.md").read_text()
    assert "--speech beep" in card
    assert "Not the published recipe" in card
    assert "eSpeak" not in card
    with pytest.raises(DatasetError, match="belongs to another build") as caught:
        build(recipe, out, limit=20)
    assert "speech: beep there, as the recipe says now" in str(caught.value)
    assert build(recipe, out, limit=20, speech="beep").digest == dataset.digest


def test_the_recipes_own_engine_changes_nothing() -> None:
    recipe = plan.load_recipe("digits-ad")
    same, chosen = override_speech(recipe, "espeak-ng")
    assert (same.digest, chosen) == (recipe.digest, "")


def test_many_voices_of_another_engine_stay_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plug_in(monkeypatch, tmp_path / "plugin", "beep", beep())
    spoken, _ = override_speech(plan.load_recipe("mnist-ad-voices"), "beep")
    options = spoken.sources["speech"].options
    assert (options["train_voices"], options["test_voices"]) == (["low"], ["high"])


def test_engines_that_cannot_speak_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = beep().replace('("low", "high"))', "())").replace('"beep"', '"dumb"')
    plug_in(monkeypatch, tmp_path / "plugin", "dumb", code)
    with pytest.raises(UnknownNameError, match="dumb has 0 voice"):
        override_speech(plan.load_recipe("digits-ad"), "dumb")
    with pytest.raises(UnknownNameError, match="did you mean 'gtts'"):
        override_speech(plan.load_recipe("digits-ad"), "gtt")
    with pytest.raises(DocumentError, match="not spoken by an engine"):
        override_speech(plan.load_recipe("mnist-ad-human"), "espeak-ng")


def test_a_language(tmp_path: Path) -> None:
    text = content.find("recipes", "digits-ad").read_text()
    changes = section()["toml"][0].strip().splitlines()
    for line in changes:
        key = line.split(" = ")[0]
        text, number = re.subn(rf"^{key} = .*$", line.replace("\\", r"\\"), text, count=1, flags=re.MULTILINE)
        assert number == 1, key
    if "names = [" in text.splitlines():
        raise AssertionError("classes are written another way now")
    path = tmp_path / "zahlen-ad.toml"
    path.write_text(text)
    assert tomllib.loads(text)["classes"]["words"][5] == "fünf"
    dataset = build(plan.load_recipe(str(path)), tmp_path / "out", limit=20)
    rows = {row["text"]: row for row in dataset.rows("train", ["text", "take", "speaker", "engine"])}
    assert len(rows) == 10
    assert {row["speaker"] for row in rows.values()} == {"de"}
    assert re.fullmatch(r"de-r120-p50-funf-[0-9a-f]{6}", rows["fünf"]["take"])
    assert rows["acht"]["take"] == "de-r120-p50-acht"
    assert validate(dataset).problems == []
