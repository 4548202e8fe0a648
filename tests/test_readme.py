"""Every command of the README and of its pages runs, in order, in an empty directory, as a new user would type it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, shared

BLOCK = re.compile(r"```(sh|python)\n(.*?)```", re.DOTALL)
INSTALLING = ("git clone", "cd ", "make ", "python3 -m venv", ". .venv", "pip install")


PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
LINK = re.compile(r"\]\(([^)#]+)")


def blocks(language: str) -> list[str]:
    return [body for page in PAGES for found, body in BLOCK.findall(page.read_text()) if found == language]


def lines() -> list[str]:
    """Shell lines, each once, without installing and without comments."""
    every = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return list(dict.fromkeys(line for line in every if line and not line.startswith(("#", *INSTALLING))))


def run(line: str, folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def quick(line: str) -> bool:
    return not any(name in line for name in ("mtnet", "mnist", "demo", "anchors"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(LINK.findall(PAGES[0].read_text()))
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= linked


def test_the_quick_commands_run(tmp_path: Path) -> None:
    found = [line for line in lines() if quick(line)]
    assert len(found) >= 8
    for line in found:
        run(line, tmp_path)
    for block in blocks("python"):
        (tmp_path / "block.py").write_text(block)
        run(f"{sys.executable} block.py", tmp_path)


@pytest.mark.slow
def test_the_slow_commands_run(tmp_path: Path) -> None:
    mnist = shared("data", "mnist")
    for line in lines():
        run(line.replace("path/to/mnist", str(mnist)), tmp_path)
