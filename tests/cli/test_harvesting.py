"""Commands before a recipe, as typed: what they print, and one message for what the user can fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.harvester import corpus
from xmbench.cli import app


def _run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("soundnet")
    corpus.soundnet(root, range(2), frames=2)
    return root


def test_a_list_is_harvested_with_the_media_beside_it(released: Path, tmp_path: Path) -> None:
    listed = released / "lists/train_frames4_0001.txt"
    arguments = ["harvest", listed, "--annotators", "esc10-sounds", "--workers", 1, "--out", tmp_path / "out"]
    code, text = _run(*arguments)
    assert code == 0, text
    assert "2 candidates" in text
    code, text = _run(*arguments, "--json")
    assert json.loads(text[text.index("{") :])["tally"]["ok"] == 2
    code, text = _run("retry", tmp_path / "out")
    assert code == 2
    assert "--retry" in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--annotators", "squeeze-net"], "squeezenet"),
        (["--annotators", "squeezenet"], "compressed_SqueezeNet.net"),
        (["--annotators", "esc10-sounds", "--weights", "esc10-sounds"], "NAME=FILE"),
        (["--annotators", "esc10-sounds", "--weights", "squeezenet=x"], "does not use"),
        (["--annotators", "esc10-sounds", "--weights", "esc10-sounds=https://x.org/w.npz"], "sha256"),
        ([], "--annotators"),
    ],
)
def test_what_a_user_can_fix_is_one_message(released: Path, tmp_path: Path, arguments: list[str], told: str) -> None:
    code, text = _run("harvest", released, "--out", tmp_path / "out", "--workers", 1, *arguments)
    assert code == 2
    assert told in text
    assert "Traceback" not in text


def test_recipes_without_a_harvest_and_without_a_directory_are_refused(tmp_path: Path) -> None:
    assert "needs no harvest" in _run("harvest", "urmp-mini", "--out", tmp_path)[1]
    assert "--source" in _run("harvest", "scenes-mini", "--out", tmp_path)[1]
    assert "no such directory" in _run("harvest", "scenes-mini", "--source", tmp_path / "x", "--out", tmp_path)[1]
    assert "not a finished harvest" in _run("agree", tmp_path)[1]


def test_annotators_are_listed_and_only_some_can_be_fitted(tmp_path: Path) -> None:
    rows = json.loads(_run("list", "annotators", "--json")[1])
    assert {"esc10-sounds", "inception-resnet-v2", "mobilenet-v2", "soundnet-8", "squeezenet"} <= {
        row["name"] for row in rows
    }
    code, text = _run("fit-annotator", "squeezenet", tmp_path, "--out", tmp_path / "w.npz")
    assert code == 2
    assert "esc10-sounds" in text
