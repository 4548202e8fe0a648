"""`xmbench agree`: which labels are agreed on, as counts and as the tables of a recipe."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.harvester import corpus
from tests.harvester.conftest import Run
from xmbench.builder.plan import load_recipe
from xmbench.errors import DatasetError, DocumentError
from xmbench.harvester.agree import Agreement, agreements, as_toml


def test_the_classes_are_printed_as_a_recipe_has_them() -> None:
    found = [
        Agreement("n03000684", "chain saw, chainsaw", 7),
        Agreement("n02012849", "crane", 5),
        Agreement("n03126707", "crane", 3),
    ]
    tables = tomllib.loads(as_toml(found, load_recipe("soundnet-agree")))
    assert tables["classes"]["names"] == ["chain_saw", "crane_n02012849", "crane_n03126707"]
    assert tables["sources"]["candidates"]["options"]["labels"]["chain_saw"] == "n03000684"


def test_labels_are_counted_for_a_finished_harvest_only(run: Run, tmp_path: Path) -> None:
    corpus.soundnet(tmp_path, range(2), frames=1)
    recipe = load_recipe("scenes-mini")
    with pytest.raises(DatasetError, match="not a finished harvest"):
        agreements(tmp_path, recipe)
    run(tmp_path, tmp_path / "out")
    options = {**recipe.sources["candidates"].options, "image": "squeezenet:objects", "top": 5}
    source = recipe.sources["candidates"].model_copy(update={"options": options})
    found = agreements(tmp_path / "out", recipe.model_copy(update={"sources": {"candidates": source}}))
    assert all(one.pairs or one.left_out for one in found)
    with pytest.raises(DocumentError, match="reader"):
        agreements(tmp_path / "out", load_recipe("urmp-mini"))
