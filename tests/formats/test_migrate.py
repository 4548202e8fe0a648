"""Documents of version 0.1 are read: what they meant is what they mean."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.making import submit
from xmbench.builder.build import build
from xmbench.builder.plan import load_recipe
from xmbench.errors import DocumentError, SubmissionError
from xmbench.evaluator.check import check
from xmbench.evaluator.save import score_and_save
from xmbench.evaluator.verify import verify
from xmbench.formats.dataset import Dataset, Manifest, open_dataset
from xmbench.formats.document import load_json, parse
from xmbench.formats.result import Result
from xmbench.formats.submission import Submission
from xmbench.inspection.validate import validate

OLD_DIGEST = (
    "d3d7712a4a1391f957818885b853fb112b02e2aafe4251c97e1cbddf5cb8362e"  # of digits-ad, tracks and prose included
)
RESULTS = [
    path
    for path in sorted((ROOT / "leaderboards" / "history" / "protocol-1").glob("*/*/*.json"))
    if json.loads(path.read_text())["schema"] == "xmbench/result/1"
]


def old_manifest(dataset: Dataset) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(dataset.manifest.to_json())
    del raw["data_digest"]
    return {**raw, "schema": "xmbench/dataset/1"}


def old_submission(folder: Path, recipe_digest: str) -> None:
    path = folder / "submission.json"
    raw = json.loads(path.read_text())
    del raw["data_digest"]
    path.write_text(json.dumps({**raw, "schema": "xmbench/submission/1", "recipe_digest": recipe_digest}))


def test_an_older_data_set_is_complete_and_built(digits: Dataset, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(digits.folder, tmp_path / "digits-ad"))
    (folder / "manifest.json").write_text(json.dumps(old_manifest(digits)))
    dataset = open_dataset(folder)
    assert dataset.manifest == digits.manifest
    assert dataset.manifest.data_digest == load_recipe("digits-ad").data_digest
    assert validate(dataset).problems == []
    lines: list[str] = []
    assert build(load_recipe("digits-ad"), folder, limit=40, progress=lines.append).digest == digits.digest
    assert lines == [f"{folder}: already built"]


def test_a_key_that_shaped_nothing_is_dropped(digits: Dataset) -> None:
    raw = old_manifest(digits)
    raw["recipe"]["audio"]["band_limit_hz"] = 4000
    raw["recipe_digest"] = "0" * 64  # of the recipe with that key
    assert parse(raw, Manifest, "here") == digits.manifest


def test_a_submission_of_then_fits_by_the_data_sets_digest(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s")
    old_submission(folder, OLD_DIGEST)
    found = load_json(folder / "submission.json", Submission)
    assert found.data_digest == digits.manifest.data_digest
    assert check(folder, digits).problems == ()
    old_submission_again = json.loads((folder / "submission.json").read_text()) | {"recipe_digest": "f" * 64}
    (folder / "submission.json").write_text(json.dumps(old_submission_again))
    assert load_json(folder / "submission.json", Submission).data_digest is None
    assert check(folder, digits).problems == ()


def test_other_data_of_the_same_recipe_is_told_as_such(digits: Dataset, tmp_path: Path) -> None:
    folder = submit(digits, tmp_path / "s", dataset_digest="0" * 64)
    with pytest.raises(SubmissionError, match="the same recipe, built with another --limit or --seed"):
        check(folder, digits)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}-{path.stem}")
def test_results_of_then_keep_their_numbers_and_know_their_track(path: Path) -> None:
    raw, result = json.loads(path.read_text()), load_json(path, Result)
    added = {"left_out", "whole_set", "depends_on", "groups", "method", "smallest_difference"}  # fields since then
    assert {name: score.model_dump(exclude=added) for name, score in result.scores.items()} == raw["scores"]
    recipe = load_recipe(result.track.split("/")[0])
    assert result.data_digest == result.submission.data_digest == recipe.data_digest
    assert (result.track_spec.metrics, result.track_spec.primary) == (tuple(raw["scores"]), raw["primary"])
    assert result.track_digest == result.track_spec.track_digest(result.versions)


@pytest.mark.parametrize("metrics", [["corr2d", "stoi"], ["stoi"]])
def test_a_result_of_then_verifies_with_its_submission_of_then(
    digits: Dataset, tmp_path: Path, metrics: list[str]
) -> None:
    """Also one of some metrics only, whose whole track it does not tell, and on a recipe that was never published."""
    folder = submit(digits, tmp_path / "s")
    old_submission(folder, "f" * 64)
    score_and_save(folder, digits, tmp_path / "result.json", metrics=metrics)
    raw = json.loads((tmp_path / "result.json").read_text())
    for key in ("track_spec", "track_digest", "data_digest"):
        del raw[key]
    sent = json.loads((folder / "submission.json").read_text())
    old = {**raw, "schema": "xmbench/result/1", "recipe_digest": "f" * 64, "submission": sent}
    (tmp_path / "result.json").write_text(json.dumps(old))
    result = load_json(tmp_path / "result.json", Result)
    assert set(result.track_spec.metrics) == {"corr2d-floored", *metrics}
    assert verify(tmp_path / "result.json", folder, digits).differences == ()


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Result, {"schema": "xmbench/result/1"}),
        (Result, {"schema": "xmbench/result/1", "scores": 3, "submission": []}),
        (Result, {"schema": "xmbench/result/1", "scores": {"a": 3}, "track": None}),
        (Result, {"schema": "xmbench/submission/1"}),
        (Manifest, {"schema": "xmbench/dataset/1", "recipe": {"audio": 3}}),
        (Manifest, {"schema": "xmbench/dataset/1", "recipe": None}),
        (Manifest, {"schema": ["xmbench/dataset/1"]}),
        (Submission, {"schema": "xmbench/submission/1", "recipe_digest": []}),
        (Submission, {"schema": "xmbench/submission/3"}),
        (Submission, {"schema": "xmbench/submission/4"}),
    ],
)
def test_what_was_no_document_then_is_none_now(kind: Any, data: dict[str, Any]) -> None:
    with pytest.raises(DocumentError):
        parse(data, kind, "here")
