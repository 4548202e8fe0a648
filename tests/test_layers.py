"""The layers are checked for real: a baseline that reaches what grades it is found, whichever way it takes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

WAYS = {
    "the metric itself": "from xmbench.metrics.corr2d import METRIC\n",
    "a measure": "from xmbench.measures.stoi import stoi\n",
    "the registry": 'from xmbench import registry\n\nregistry.metric("corr2d")\n',
    "the registry, behind a network": "from xmbench.networks import planted\n",
    "a judge": "from xmbench.judges import loading\n",
    "another baseline": "from xmbench.baselines import mtnet\n",
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    command = [sys.executable, "-c", program, "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    shutil.copytree(ROOT / "xmbench", folder / "xmbench", ignore=shutil.ignore_patterns("*.safetensors", "*.npz"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_package_keeps_its_layers(copied: Path) -> None:
    done = lint(copied)
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_baseline_that_reaches_what_grades_it_is_found(copied: Path) -> None:
    (copied / "xmbench" / "networks" / "planted.py").write_text("from xmbench import registry\n")
    for number, text in enumerate(WAYS.values()):
        (copied / "xmbench" / "baselines" / f"planted_{number}.py").write_text(text)
    done = lint(copied)
    assert done.returncode == 1
    for number, way in enumerate(WAYS):
        assert f"xmbench.baselines.planted_{number} ->" in done.stdout, way


def test_a_package_without_a_layer_is_found(copied: Path) -> None:
    (copied / "xmbench" / "helpers.py").write_text("")
    done = lint(copied)
    assert done.returncode == 1
    assert "helpers" in done.stdout
