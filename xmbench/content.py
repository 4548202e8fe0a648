"""A name or a path -> a TOML file: in a checkout, in an installed wheel, or in a plug-in package."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from importlib.resources import files
from pathlib import Path
from typing import Literal

from xmbench import plugins
from xmbench.errors import PrerequisiteError, UnknownNameError, nearest

Kind = Literal["recipes", "corpora", "baselines"]
_FOLDERS: dict[Kind, str] = {"recipes": "recipes", "corpora": "recipes/corpora", "baselines": "baselines"}
_ONE: dict[Kind, str] = {"recipes": "recipe", "corpora": "corpus", "baselines": "baseline"}


def names(kind: Kind) -> list[str]:
    """Every name that `find` knows, sorted."""
    found: dict[str, Path] = {}
    for folder in _folders(kind):
        for path in folder.glob("*.toml"):
            if found.setdefault(path.stem, path) != path:
                plugins.skip(f"{path}", f"{found[path.stem]} has that name")
    return sorted(found)


def of_plug_in(kind: Kind, name: str) -> bool:
    """Whether a name is that of a third party's file."""
    return find(kind, name).parent != next(_folders(kind), None)


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


def _folders(kind: Kind) -> Iterator[Path]:
    """Directories with content: the package's own first, then those of third parties, found only when needed."""
    package = Path(str(files("xmbench")))
    below = _FOLDERS[kind]
    own = [package / "_content" / below, package.parent / below]
    yield from [folder for folder in own if folder.is_dir()][:1]
    for folder in map(_folder_of, plugins.points("xmbench.content")):
        if folder is not None and (folder / below).is_dir():
            yield folder / below


def _folder_of(point: EntryPoint) -> Path | None:
    """The directory of a package with content; None where it cannot be imported."""
    try:
        found = plugins.load(point)
        try:
            return Path(str(files(found)))
        except Exception as error:
            raise plugins.refused(point, f"not a package: {error}") from error
    except PrerequisiteError as error:
        plugins.skip(f"{error.where}", error.what)
        return None
