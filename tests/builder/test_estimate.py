"""`plan`: what a build would do, before anything is done and without the network."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.builder.conftest import Corpus
from tests.plugins import plug_in
from xmbench.builder import estimate
from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.builder.upstream import fetch
from xmbench.errors import DocumentError, UnknownNameError, UpstreamError
from xmbench.formats.recipe import Recipe


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and no way to the network."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.urlopen", refuse)


def changed(recipe: Recipe, **fields: object) -> Recipe:
    return Recipe.model_validate({**recipe.model_dump(mode="json", by_alias=True), **fields})


def test_a_set_that_needs_nothing(tmp_path: Path) -> None:
    recipe = load_recipe("digits-ad")
    found = estimate.estimate(recipe)
    assert (found.rows, found.exact) == ({"train": 1437, "test": 360}, True)
    assert (found.download_bytes, found.missing_files, found.missing_programs) == (0, (), ())
    assert (found.takes, found.takes_cached) == (10, 0)
    assert [(part.role, part.licence) for part in found.licences] == [("digits", "CC-BY-4.0"), ("speech", "CC0-1.0")]
    dataset = build(recipe, tmp_path / "out")
    size = sum(path.stat().st_size for path in dataset.folder.rglob("*") if path.is_file())
    assert size / 3 < found.disk_bytes < size * 3
    after = estimate.estimate(recipe)
    assert after.takes_cached == 10
    assert {split: dataset.count(split) for split in found.rows} == found.rows
    assert after.recipe_digest == dataset.recipe.digest


def test_files_that_are_not_here_are_counted_by_their_sizes(corpus: Corpus) -> None:
    found = estimate.estimate(load_recipe("mnist-ad"), limit=100)
    assert (found.rows, found.exact) == ({"train": 100, "test": 100}, False)
    assert found.download_bytes == sum(spec.bytes for spec in load_recipe("mnist-ad").sources["mnist"].files)
    whole = estimate.estimate(load_recipe("mnist-ad"))
    assert whole.rows == {"train": 60000, "test": 10000}
    assert whole.seconds > found.seconds
    stratified = changed(load_recipe("mnist-ad"), splits={"method": "stratified", "test_fraction": 0.3})
    assert estimate.estimate(stratified).rows == {"train": 49000, "test": 21000}


@pytest.mark.parametrize("name", ["cifar10-ad", "cifar100-ad-voices", "mnist-ad-human"])
def test_rows_that_the_recipe_promises(name: str) -> None:
    found = estimate.estimate(load_recipe(name))
    assert sum(number or 0 for number in found.rows.values()) in (60000, 70000)
    assert found.download_bytes > 40e6
    assert found.disk_bytes > found.download_bytes
    assert found.to_dict()["rows"] == found.rows


def test_a_directory_with_the_files(corpus: Corpus, tmp_path: Path) -> None:
    found = estimate.estimate(corpus.single, source=corpus.folder, limit=25)
    assert (found.rows, found.exact, found.download_bytes) == ({"train": 25, "test": 25}, True, 0)
    folder = shutil.copytree(corpus.folder, tmp_path / "some")
    gone = sorted(folder.iterdir())[0]
    gone.unlink()
    some = estimate.estimate(corpus.single, source=folder)
    assert len(some.missing_files) == 1
    assert gone.name.removesuffix(".gz") in some.missing_files[0]
    assert not some.exact


def test_files_in_the_cache_are_not_fetched_again(corpus: Corpus) -> None:
    before = estimate.estimate(corpus.single)
    assert len(before.missing_files) == 4  # this corpus has no addresses
    for spec in corpus.single.sources["mnist"].files:
        path = fetch._place(spec) / spec.name
        path.parent.mkdir(parents=True)
        shutil.copy(corpus.folder / f"{spec.name}.gz", path)
    after = estimate.estimate(corpus.single)
    assert (after.missing_files, after.exact, after.rows) == ((), True, {"train": 120, "test": 30})


def test_a_missing_program_is_named(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gtts", None)
    found = estimate.estimate(changed_engine(corpus.single, engine="gtts", voices=["en"]), source=corpus.folder)
    assert found.missing_programs == ("the package gTTS is not installed: pip install 'gTTS>=2.5'",)
    assert found.takes is None
    assert found.rows == {"train": 120, "test": 30}


def changed_engine(recipe: Recipe, **options: object) -> Recipe:
    raw = recipe.model_dump(mode="json", by_alias=True)
    raw["sources"]["speech"]["options"] = options
    return Recipe.model_validate(raw)


def test_an_online_engine_takes_its_time(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_SPEECH_PAUSE_S", "60")
    online = estimate.estimate(corpus.single, source=corpus.folder, speech="gtts")
    assert (online.takes, online.takes_cached) == (3, 0)
    assert online.seconds > 180
    assert any("online service" in note for note in online.notes)
    assert any("may not be redistributed" in note for note in online.notes)
    assert online.recipe_digest != corpus.single.digest


def test_a_source_that_counts_nothing(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
from pydantic import BaseModel
class Options(BaseModel): pass
class Silent:
    name, modality, Options = "silent", "image", Options
    def versions(self, options): return {}
    def entries(self, upstream, options, task): return []
    def read(self, upstream, options, task, entries): return iter(())
ENGINE = Silent()
"""
    plug_in(monkeypatch, tmp_path / "plugin", "silent", code, group="xmbench.sources")
    raw = load_recipe("mnist-ad").model_dump(mode="json", by_alias=True)
    raw["sources"]["mnist"]["reader"] = "silent"
    found = estimate.estimate(Recipe.model_validate(raw))
    assert found.rows == {"train": None, "test": None}
    assert any("known when the files are here" in note for note in found.notes)


def test_mistakes_are_those_of_a_build(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="limit"):
        estimate.estimate(corpus.single, limit=0)
    with pytest.raises(UpstreamError, match="no such directory"):
        estimate.estimate(corpus.single, source=tmp_path / "nowhere")
    with pytest.raises(UnknownNameError, match="en-uk"):
        estimate.estimate(changed_engine(corpus.single, voices=["en-uk"]))
