"""Plug-ins that are broken in every way: built-in items keep working, each plug-in is named once."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_scoring import PROGRAM
from xmbench import catalogue, content, registry
from xmbench.errors import PrerequisiteError

GROUPS = ("sources", "engines", "annotators", "metrics", "judges", "baselines", "content")
MODULES = {
    "raises": "raise RuntimeError('boom \\x1b[31m')",
    "exits": "import sys\nsys.exit(3)",
    "missing": "import a_module_that_nobody_has",
    "prints": "print('{}')\nraise OSError(2, 'no model here')",
    "malformed": "x = = 1",
    "no_attribute": "",
    "none": "ITEM = None",
    "another_type": "ITEM = 3",
    "a_class": "class ITEM: name = 'a_class'",
    "no_name": "class Item: pass\nITEM = Item()",
    "evil": "class Item:\n def __getattr__(self, name): raise ZeroDivisionError('evil')\nITEM = Item()",
    "recursive": "def f(): f()\nf()",
}


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of packages: one for each way to be broken, in every group, and one whose list is damaged."""
    folder = tmp_path_factory.mktemp("plugins")
    for name, code in MODULES.items():
        (folder / f"broken_{name}.py").write_text(code)
        lines = [f"[xmbench.{group}]\n{name} = broken_{name}:ITEM" for group in GROUPS]
        _package(folder, name, "\n".join(lines))
    _package(folder, "gone", "\n".join(f"[xmbench.{group}]\ngone = no_such_module:ITEM" for group in GROUPS))
    (folder / "broken_shadow.py").write_text("raise RuntimeError('a built-in item was replaced')")
    _package(
        folder, "shadow", "[xmbench.metrics]\npesq = broken_shadow:ITEM\n[xmbench.sources]\nmnist = broken_shadow:X"
    )
    return folder


def _package(folder: Path, name: str, points: str) -> None:
    about = folder / f"broken_{name}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: broken-{name}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(points)


def run(broken: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("kind", ["metrics", "sources", "engines", "recipes", "baselines"])
def test_lists_have_what_is_built_in_and_name_the_rest(broken: Path, kind: catalogue.Kind) -> None:
    done = run(broken, "list", kind, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == catalogue.rows(kind)
    lines = [line for line in done.stderr.splitlines() if line != "{}"]
    assert all(line.startswith("skipped: ") for line in lines)
    assert len(set(lines)) == len(lines)
    for name in (*MODULES, "gone"):
        assert any(f"broken_{name}:ITEM" in line or "no_such_module:ITEM" in line for line in lines), name
    assert "\x1b" not in done.stderr
    if kind in ("metrics", "sources"):
        assert any("xmbench itself has" in line for line in lines)


def test_planning_and_building_never_load_them(broken: Path, tmp_path: Path) -> None:
    done = run(broken, "plan", "digits-ad")
    assert (done.returncode, done.stderr) == (0, "")
    done = run(broken, "build", "digits-ad", "--limit", 4, "--workers", 1, "--out", tmp_path / "d")
    assert done.returncode == 0, done.stderr
    assert "skipped" not in done.stderr


@pytest.mark.parametrize("name", [*MODULES, "gone"])
def test_asked_for_by_name_it_is_one_error(
    broken: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.syspath_prepend(str(broken))
    for load in (registry.metric, registry.source, registry.engine, registry.annotator, registry.model):
        with pytest.raises(PrerequisiteError, match=f"the plug-in '{name}' cannot be used") as caught:
            load(name)
        assert "package" in str(caught.value)
        assert "uninstall" in str(caught.value)
    assert capsys.readouterr().out == ""


def test_what_is_built_in_is_not_replaced(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(broken))
    assert type(registry.metric("pesq")).__module__.startswith("xmbench.")
    assert registry.names("metrics").count("pesq") == 1


def test_the_list_of_a_package_that_is_damaged_costs_only_that_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _package(tmp_path, "garbage", "[xmbench.metrics]\nno equals sign\n\x00")
    _package(tmp_path, "good", "[xmbench.metrics]\ngood = somewhere:ITEM")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert {"good", "pesq"} <= set(registry.names("metrics"))
    assert any("broken-garbage" in message for message in caplog.messages)


def test_content_of_a_third_party_that_is_damaged_or_named_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recipes = tmp_path / "their_content" / "recipes"
    recipes.mkdir(parents=True)
    (recipes.parent / "__init__.py").write_text("")
    own = content.find("recipes", "digits-ad").read_text()
    (recipes / "theirs.toml").write_text(own.replace('name = "digits-ad"', 'name = "theirs"', 1))
    (recipes / "damaged.toml").write_text("x = [")
    (recipes / "digits-ad.toml").write_text("x = [")
    (tmp_path / "their_names.py").write_text("CONTENT = 'their_content'")
    _package(tmp_path, "theirs", "[xmbench.content]\ntheirs = their_names:CONTENT")
    before = {row["name"] for row in catalogue.rows("recipes")}
    monkeypatch.syspath_prepend(str(tmp_path))
    assert {row["name"] for row in catalogue.rows("recipes")} == before | {"theirs"}
    assert [m.count("damaged.toml") for m in caplog.messages if "not a recipe" in m] == [1]
    assert any("digits-ad.toml" in m and "has that name" in m for m in caplog.messages)
