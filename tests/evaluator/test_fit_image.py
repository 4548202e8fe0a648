"""`fit-judge --direction a2i`: a judge of a user's own images, found by the tracks of that direction alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.drawing import draw
from xmbench.cli import app
from xmbench.errors import DatasetError, PrerequisiteError
from xmbench.evaluator.judge import load_judges
from xmbench.evaluator.save import score_and_save
from xmbench.formats.dataset import Dataset
from xmbench.formats.result import Result
from xmbench.interfaces import Direction
from xmbench.judges.fitting import fit


def local(dataset: Dataset, folder: Path) -> Dataset:
    """The same data set under another directory for its judges."""
    for part in dataset.folder.iterdir():
        (folder / part.name).symlink_to(part)
    return Dataset(folder, dataset.manifest)


def test_a_local_judge_is_fitted_tested_and_used(digits: Dataset, tmp_path: Path) -> None:
    place = tmp_path / "data"
    place.mkdir()
    dataset = local(digits, place)
    lines: list[str] = []
    card = fit(
        [dataset], place / "judges", "digits", steps=200, command="xmbench fit-judge", progress=lines.append
    ).model_dump(mode="json", by_alias=True)
    data = (place / "judges" / "digit-image.safetensors").read_bytes()
    assert json.loads((place / "judges" / "digit-image.json").read_text()) == card
    assert hashlib.sha256(data).hexdigest() == card["sha256"]
    assert (card["modality"], card["bytes"]) == ("image", len(data))
    tested = card["accuracy"]["real test images of digits-ad"]
    assert (tested["n"], len(tested["by_class"])) == (40, 10)
    assert tested["accuracy"] > 0.5  # 40 training images
    assert lines == ["step 200 of 200: loss " + lines[0].split()[-1]]

    result: Result = score_and_save(
        draw(dataset, tmp_path / "s"), dataset, tmp_path / "r.json", metrics=["image-accuracy"], local_judge=True
    ).result
    assert result.judge is not None
    assert (result.judge.local, result.judge.sha256) == (True, card["sha256"])
    assert result.scores["image-accuracy"].value == pytest.approx(tested["accuracy"])

    track = dataset.recipe.track("i2a")
    assert track is not None
    with pytest.raises(PrerequisiteError, match="no local judge for this direction") as caught:
        load_judges(dataset, track, local=True)  # a judge of images does not judge sounds
    assert caught.value.todo is not None
    assert caught.value.todo.endswith("--direction i2a")


def test_each_direction_has_its_own_frozen_judge(digits: Dataset) -> None:
    sides: dict[Direction, str] = {"i2a": "digits", "a2i": "digit-images"}
    for direction, name in sides.items():
        track = digits.recipe.track(direction)
        assert track is not None
        judge = load_judges(digits, track)[0]
        assert judge is not None
        assert judge.card.name == name


def test_data_sets_with_other_classes(digits: Dataset, tmp_path: Path) -> None:
    classes = digits.recipe.classes.model_copy(update={"names": tuple("abcdefghij")})
    recipe = digits.recipe.model_copy(update={"classes": classes})
    other = Dataset(digits.folder, digits.manifest.model_copy(update={"recipe": recipe}))
    with pytest.raises(DatasetError, match="other classes"):
        fit([digits, other], tmp_path / "j", "digits")


def test_the_command(digits: Dataset, tmp_path: Path) -> None:
    arguments = ["fit-judge", str(digits.folder), "--direction", "a2i", "--out", str(tmp_path / "j"), "--steps", "2"]
    done = CliRunner().invoke(app, [*arguments, "--name", "mine"])
    assert done.exit_code == 0, done.output
    assert "accuracy on real test images of digits-ad" in done.output
    assert sorted(path.name for path in (tmp_path / "j").iterdir()) == ["mine.json", "mine.safetensors"]
    refused = CliRunner().invoke(app, [*arguments, "--voices", str(tmp_path)])
    assert refused.exit_code == 2
