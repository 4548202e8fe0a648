"""Plugs a module into xmbench as an installed third-party package would: by an entry point on the path."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest


def plug_in(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    name: str,
    code: str,
    group: str = "xmbench.engines",
    constant: str = "ENGINE",
) -> ModuleType:
    """Writes `code` as the module of a package whose entry point `name` is its constant; returns the module."""
    module = f"{name.replace('-', '_')}_plugin"
    about = folder / f"xmbench_{module}-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / f"{module}.py").write_text(code)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: xmbench-{module}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:{constant}\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, module, raising=False)
    return importlib.import_module(module)
