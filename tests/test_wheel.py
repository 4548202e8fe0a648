"""The wheel carries recipes, baselines, judges and data files, and finds them where it is unpacked."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from tests.conftest import ROOT
from xmbench import content


def test_the_wheel_carries_its_content(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    for name in content.names("recipes"):
        assert f"xmbench/_content/recipes/{name}.toml" in names
    for name in content.names("corpora"):
        assert f"xmbench/_content/recipes/corpora/{name}.toml" in names
    for name in content.names("baselines"):
        assert f"xmbench/_content/baselines/{name}.toml" in names
    assert {"xmbench/py.typed", "xmbench/measures/data/cochba.npz"} <= names
    assert "xmbench/judges/words/weights/digits.safetensors" in names
    assert {f"xmbench/judges/words/pretrained/speech-embedding.{end}" for end in ("safetensors", "json")} <= names
    frozen = "xmbench/judges/instrument_images/pretrained/mobilenet-v2-first-blocks"
    assert {f"{frozen}.{end}" for end in ("safetensors", "json")} <= names
    assert any(name.endswith("/NOTICE") for name in names), "Apache-2.0 asks for it"
    assert {"xmbench/conformance/vectors/pairs.json", "xmbench/conformance/vectors/seven.flac"} <= names
    assert not any(name.startswith(("tests/", "leaderboards/")) for name in names)
    probe = (
        "from xmbench import content; print(content.find('recipes', 'mnist-ad'), content.find('baselines', 'silence'));"
        "from xmbench.builder.plan import load_recipe; print(load_recipe('mnist-ad').sources['mnist'].title)"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {probe}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert found.count(str(tmp_path / "site" / "xmbench" / "_content")) == 2
    assert "MNIST database of handwritten digits" in found


def test_the_source_distribution_carries_corpora(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"recipes/corpora/{name}.toml" for name in content.names("corpora")} <= names
