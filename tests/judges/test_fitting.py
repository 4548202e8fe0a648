"""`fit-judge` asks which kind of judge fits the data: no network is trained on what it cannot look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from xmbench import content
from xmbench.cli import app
from xmbench.errors import DatasetError, UnknownNameError
from xmbench.formats import dataset as datasets
from xmbench.formats.dataset import Dataset
from xmbench.formats.document import load_toml
from xmbench.formats.recipe import Recipe
from xmbench.judges.fitting import kind_for


def of_recipe(digits: Dataset, name: str) -> Dataset:
    """The directory as that of another recipe: `kind_for` looks only at the recipe."""
    recipe = load_toml(content.find("recipes", name), Recipe)
    return Dataset(digits.folder, digits.manifest.model_copy(update={"recipe": recipe}))


@pytest.mark.parametrize("name", ["digits-ad", "mnist-ad", "mnist-ad-voices", "mnist-ad-human"])
def test_handwritten_digits_and_spoken_words_have_a_kind(digits: Dataset, name: str) -> None:
    dataset = of_recipe(digits, name)
    assert kind_for([dataset], "image") == "digits"
    assert kind_for([dataset], "audio") == "words"


def test_photographs_are_never_given_a_digit_net(digits: Dataset) -> None:
    dataset = of_recipe(digits, "cifar10-ad")
    assert kind_for([dataset], "audio") == "words"
    with pytest.raises(DatasetError, match="no kind of judge fits the image of cifar10-ad") as caught:
        kind_for([dataset], "image")
    assert "32 x 32 pixels, 3 channels, 10 classes" in caught.value.what
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        *("digits", "instrument-images", "instrument-sounds", "words")
    ]
    with pytest.raises(DatasetError, match="cifar10-ad"):
        kind_for([dataset], "image", "digits")
    with pytest.raises(DatasetError, match="cifar10-ad"):
        kind_for([of_recipe(digits, "mnist-ad"), dataset], "image")


def test_a_kind_that_is_not_there_is_named(digits: Dataset) -> None:
    with pytest.raises(UnknownNameError, match="no judge is called 'word'"):
        kind_for([digits], "audio", "word")


def test_the_command_says_so_and_writes_nothing(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "open_dataset", lambda _: of_recipe(digits, "cifar10-ad"))
    done = CliRunner().invoke(
        app, ["fit-judge", str(digits.folder), "--direction", "a2i", "--out", str(tmp_path / "j")]
    )
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert not (tmp_path / "j").exists()
