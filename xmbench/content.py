"""A name or a path -> a TOML file: in a checkout, in an installed wheel, or in a plug-in package."""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Literal

from xmbench.errors import UnknownNameError, nearest

Kind = Literal["recipes", "corpora", "baselines"]
_FOLDERS: dict[Kind, str] = {"recipes": "recipes", "corpora": "recipes/corpora", "baselines": "baselines"}
_ONE: dict[Kind, str] = {"recipes": "recipe", "corpora": "corpus", "baselines": "baseline"}


def names(kind: Kind) -> list[str]:
    """Every name that `find` knows, sorted."""
    return sorted({path.stem for folder in _folders(kind) for path in folder.glob("*.toml")})


def find(kind: Kind, name: str) -> Path:
    """The TOML file of a name (`mnist-ad`), or of a path (`./mine.toml`).

    Raises:
        UnknownNameError: nothing has that name; the nearest one is offered.
    """
    if name.endswith(".toml") or "/" in name:
        path = Path(name)
        if path.is_file():
            return path
        raise UnknownNameError(f"no such {_ONE[kind]} file", where=path, todo=f"xmbench list {kind}")
    for folder in _folders(kind):
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    raise UnknownNameError(
        f"no {_ONE[kind]} is called '{name}'", expected=nearest(name, names(kind)), todo=f"xmbench list {kind}"
    )


def _folders(kind: Kind) -> list[Path]:
    """Folders with content, the package's own first."""
    package = Path(str(files("xmbench")))
    own = [package / "_content" / _FOLDERS[kind], package.parent / _FOLDERS[kind]]
    plugins = [Path(str(files(point.load()))) / _FOLDERS[kind] for point in entry_points(group="xmbench.content")]
    found = [folder for folder in own if folder.is_dir()][:1]
    return found + [folder for folder in plugins if folder.is_dir()]
