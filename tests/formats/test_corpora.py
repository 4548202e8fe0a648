"""Corpora: what several recipes share is said once, and a recipe is the same whether it says a thing or takes it."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from xmbench import content
from xmbench.cli import main
from xmbench.errors import DocumentError
from xmbench.formats.corpora import completed
from xmbench.formats.document import load_json, load_toml, parse
from xmbench.formats.recipe import Recipe

RECIPES = content.names("recipes")
# Of every recipe as version 0.1 had it, in one file: results and submissions of then name them.
# mnist-ad-human said `audio.band_limit_hz` as well, which shaped nothing. Those of digits have had other judges since.
WHOLE = {
    "cifar10-ad-voices": "2f57451ae42146fa2204d79b9dd6e4cb0d20f4641d62160f9ec5f3786fb87dce",
    "cifar10-ad": "7cd0e60cb24b4ccda09c76f28fa45cf04b3d3d5650876ab40cf50761591770f0",
    "cifar100-ad-voices": "9de42bb08e0fcbde5b939bb2a41fc1e90c488c41cac80b6517c439e79ab8d3e6",
    "cifar100-ad": "d4ee4b050aca6031af71813e622fe5e3203105b61c18e3393145aaaaae8651a0",
    "digits-ad": "04d43f28bc3e1e26453c0da6022ec30995a088a5d98479b1a9ed8338765649d2",
    "mnist-ad-human": "4e487a20a84dfdb2bcce802bda9ca13e0854b316f9c0bc6bdaf101b086f85736",
    "mnist-ad-voices": "0523ccb3cdbed9469b8027c76b0d8b48d84a5b8749344c0e18ff40f5b80d9a47",
    "mnist-ad": "b8110b1a7bc0f5615240ca4e00f80393e94340194ad253a3349535aac6418462",
}


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_recipe_of_several_files_is_the_one_that_stood_in_one(name: str) -> None:
    assert load_toml(content.find("recipes", name), Recipe).digest == WHOLE[name]


@pytest.mark.parametrize("name", RECIPES)
def test_where_its_text_comes_from_changes_no_digest(name: str, tmp_path: Path) -> None:
    recipe = load_toml(content.find("recipes", name), Recipe)
    path = tmp_path / "whole.json"
    path.write_text(recipe.to_json())
    whole = load_json(path, Recipe)
    assert whole == recipe
    assert (whole.digest, whole.data_digest) == (recipe.digest, recipe.data_digest)
    assert list(whole.sources) == list(recipe.sources)


def test_a_corpus_is_described_in_one_file() -> None:
    folder = content.find("recipes", "mnist-ad").parent
    found = [sha for path in folder.rglob("*.toml") for sha in re.findall(r'"([0-9a-f]{64})"', path.read_text())]
    assert len(found) == len(set(found)) > 25


def test_corpora_are_no_recipes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not set(content.names("corpora")) & set(RECIPES)
    monkeypatch.setattr("sys.argv", ["xmbench", "list", "recipes", "--json"])
    with pytest.raises(SystemExit):
        main()
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == RECIPES


# ------------------------------------------------------------------------------------------------- somebody's own
@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Content of a plug-in package, whose corpora stand beside the package's own."""
    (tmp_path / "content" / "recipes" / "corpora").mkdir(parents=True)
    (tmp_path / "content" / "__init__.py").touch()
    real = content._folders
    monkeypatch.setattr(content, "_folders", lambda kind: [*real(kind), tmp_path / "content" / content._FOLDERS[kind]])
    return tmp_path / "content" / "recipes" / "corpora"


def corpus(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.toml").write_text(f'schema = "xmbench/corpus/1"\n{text}')


def mine(tmp_path: Path, corpora: str, more: str = "") -> Path:
    """A copy of `digits-ad` that names other corpora."""
    text = content.find("recipes", "digits-ad").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(
        text.replace('corpora = ["digit-words"]', f"corpora = {corpora}").replace("[image]", f"{more}[image]")
    )
    return path


def test_a_recipe_of_ones_own_names_corpora_and_overrides_them(tmp_path: Path, folder: Path) -> None:
    corpus(
        folder,
        "loud",
        'corpora = ["digit-words"]\n[sources.speech]\nlicence = "none"\nhomepage = "https://example.org"\n',
    )
    path = mine(tmp_path, '["loud"]')
    recipe = load_toml(path, Recipe)
    assert recipe == load_toml(content.find("recipes", "digits-ad"), Recipe)  # it says licence and homepage itself
    path.write_text(path.read_text().replace('homepage = "https://github.com/espeak-ng/espeak-ng"\n', ""))
    assert load_toml(path, Recipe).sources["speech"].homepage == "https://example.org"


def test_lists_are_replaced_completely(tmp_path: Path, folder: Path) -> None:
    corpus(folder, "base", "[a]\nb = [1, 2]\nc = 1\n")
    data = {"schema": "xmbench/recipe/1", "corpora": ["base"], "a": {"b": [3]}}
    assert completed(data, tmp_path) == {"schema": "xmbench/recipe/1", "a": {"b": [3], "c": 1}}


@pytest.mark.parametrize(
    ("corpora", "more", "said"),
    [
        ('["digit-wrods"]', "", "corpora: no corpus is called 'digit-wrods'.*did you mean 'digit-words'"),
        ('"digit-words"', "", "corpora: 'digit-words'.*a list of names"),
        ('["../digit-words"]', "", "corpora: .*a list of names"),
        ('["round"]', "", r"corpora: 'round' names itself again \(mine -> round -> about -> round\)"),
        ('["other"]', "", "not a corpus.*schema = 'xmbench/corpus/1'"),
        ('["broken"]', "", "broken.toml.*|not a TOML file"),
        ('["digit-words", "zehn"]', "", "classes.words: differs between digit-words and zehn"),
        ('["flat"]', "", "image: a table.*not a table, as in the corpora"),
        (
            '["digit-words", "wide"]',
            "",
            "mine.toml, with the corpora digit-words, wide .*image.width_pixels: unknown key",
        ),
        ("[]", "", "tracks.0.judge: no judge is called 'digits' here"),
        ('["digit-words"]', "judges = 3\n", "judges: a table|judges: not a table"),
        ('["digit-words"]', "[judges]\ndigits = 3\n", "judges: .*a table of sha256 by name"),
    ],
)
def test_mistakes_name_the_file_and_the_key(tmp_path: Path, folder: Path, corpora: str, more: str, said: str) -> None:
    corpus(folder, "round", 'corpora = ["about"]\n')
    corpus(folder, "about", 'corpora = ["round"]\n')
    corpus(folder, "zehn", '[classes]\nwords = ["eins"]\n')
    corpus(folder, "flat", "image = 3\n")
    corpus(folder, "wide", "[image]\nwidth_pixels = 3\n")
    (folder / "other.toml").write_text('schema = "xmbench/recipe/1"\n')
    (folder / "broken.toml").write_text("schema = \n")
    with pytest.raises(DocumentError) as caught:
        load_toml(mine(tmp_path, corpora, more), Recipe)
    told = " ".join(str(caught.value).split())
    assert ".toml" in told
    assert re.search(said, told), told


def test_a_recipe_without_corpora_is_read_as_it_is(tmp_path: Path) -> None:
    recipe = load_toml(content.find("recipes", "digits-ad"), Recipe)
    raw = json.loads(recipe.to_json())
    assert parse(completed(raw, tmp_path), Recipe, tmp_path) == recipe
    assert tomllib.loads(content.find("recipes", "digits-ad").read_text())["corpora"] == ["digit-words"]
