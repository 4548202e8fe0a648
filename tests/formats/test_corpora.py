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
# Of every recipe as it stands: tracks, judges and notes included. It changes with each of them.
WHOLE = {
    "cifar10-ad-voices": "19ebfd947575e6c258c6474456aab30d88de81228274aa7f6c6b3c5e5abdd57f",
    "cifar10-ad": "3670109207f1ca27c1a70cf3bcfbfdb53762269eb3752f88caa214edc43b6422",
    "cifar100-ad-voices": "148ab9224fd42571db082f9bfadcb49731cdbe54cdc1a8d9d57ec5a69ecb5630",
    "cifar100-ad": "dba86a21c0b2fec52427acb3158e852221ad52be359ccd7b77c190409e7f2058",
    "digits-ad": "bde2b4b7cdf88dacde96a5d1afb5464ef7643aa7d23bac6527b6bfedb8344cf3",
    "mnist-ad-human": "3d81be7f152080761f3ebea33262c6ac4bef3685b01242bc1764a9f8829d3c48",
    "mnist-ad-voices": "abcd5efc701e3cec057b533e770d3897d2db98d1646e29af0ab26ea3c0281a7b",
    "mnist-ad": "6ce3362a3f62532be31d11b0e24f700776c390c0c300e0e72c4e72f5e6d22ea0",
}
# Of what shapes a row, as version 0.1 had it in one file: results and submissions of then name it.
DATA = {
    "cifar10-ad-voices": "099afd54c0daafb00077a4fe3b235d1a9a96ef59e32a1a56e6780c5cac8fffa9",
    "cifar10-ad": "46ab787d0429593b856d22e1cd44354506b3e34ec89b8651405a5e35e04ab3ad",
    "cifar100-ad-voices": "889b314ad75616068cc7c208863a0bdc9d6c1ec588f05425d4ecc50c6305bcba",
    "cifar100-ad": "9e0695d33d28d6ac326d5dcb6dea34061059394e54363237c7b4b3d18c6e73d2",
    "digits-ad": "53b25f4a727f338b0e0b4c4ba26f70f12fd97029b631a3770ffb7a01541c2b18",
    "mnist-ad-human": "4f6f98850d87a53af1833e06f48a1b388a8f24b4c2ae4ba5bd2b0a9faf95eafb",
    "mnist-ad-voices": "e5e800d1472611ba586223878ff6b4d5c79cf6abcfb8f2504ef8594d97f87852",
    "mnist-ad": "5f58858634a2bc5a393e9bbd6fab5032f5031e67c23b88437ef43675b5957661",
}


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_recipe_of_several_files_is_the_one_that_stood_in_one(name: str) -> None:
    recipe = load_toml(content.find("recipes", name), Recipe)
    assert (recipe.digest, recipe.data_digest) == (WHOLE[name], DATA[name])


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
