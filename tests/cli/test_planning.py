"""`plan`, `retry` and `--speech` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.builder.test_retry import FLAKY
from tests.plugins import plug_in
from xmbench.cli import app
from xmbench.formats.dataset import open_dataset


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XMBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def typed(*arguments: str) -> str:
    run = CliRunner().invoke(app, list(arguments))
    assert run.exit_code == 0, run.output
    return run.stdout


def test_plan() -> None:
    text = typed("plan", "mnist-ad")
    assert "rows      train 60,000, test 10,000 (as the recipe says: the files are not here yet)" in text
    assert "download  55.0 MB at most" in text
    assert "CC-BY-SA-3.0" in text
    found = json.loads(typed("plan", "digits-ad", "--limit", "20", "--json"))
    assert found["rows"] == {"train": 20, "test": 20}
    assert found["takes"] == 10


def test_plan_and_build_with_another_engine_and_retry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = plug_in(monkeypatch, tmp_path / "plugin", "flaky", FLAKY)
    engine.down.add(("seven", "a"))
    planned = json.loads(typed("plan", "digits-ad", "--limit", "20", "--speech", "flaky", "--json"))
    text = typed("build", "digits-ad", "--limit", "20", "--speech", "flaky")
    assert "4 item(s) failed for a temporary reason: xmbench retry data/digits-ad" in text
    engine.down.clear()
    shown = typed("retry", "data/digits-ad")
    assert "4 item(s) to try again, 4 of them written, 0 left" in shown
    dataset = open_dataset(Path("data/digits-ad"))
    assert f"digest {dataset.digest}" in shown
    assert dataset.manifest.recipe_digest == planned["recipe_digest"]
    assert "0 item(s) to try again" in typed("retry", "data/digits-ad", "--only", "temporary")


def test_engines_are_listed() -> None:
    rows = {row["name"]: row for row in json.loads(typed("list", "engines", "--json"))}
    assert {"espeak-ng", "gtts", "pyttsx3"} <= rows.keys()
    assert (rows["gtts"]["where"], rows["espeak-ng"]["repeatable"]) == ("online", "yes")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "digit-ad"], "did you mean 'digits-ad'"),
        (["plan", "digits-ad", "--speech", "espeak"], "did you mean 'espeak-ng'"),
        (["build", "digits-ad", "--speech", "espeak"], "did you mean 'espeak-ng'"),
        (["retry", "nowhere"], "no data set here"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], said: str) -> None:
    run = CliRunner().invoke(app, arguments)
    assert run.exit_code == 2
    assert said in run.stderr
