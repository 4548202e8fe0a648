"""Corpora: what several recipes take from one corpus, stated once in `recipes/corpora/NAME.toml`.

A recipe, or another corpus, names them: `corpora = ["mnist", "digit-words"]`. Their tables are merged before the
recipe is read; what the recipe says itself takes precedence. A corpus may hold any key of a recipe, and `[judges]`, a
table of sha256 by name, so that a track says `judge = "digits"`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xmbench import content
from xmbench.errors import DocumentError, UnknownNameError
from xmbench.formats.extremes import LARGEST_TOML, toml_of
from xmbench.formats.model import NAME_PATTERN
from xmbench.storage.files import read_bytes

RECIPE_SCHEMA = "xmbench/recipe/1"
CORPUS_SCHEMA = "xmbench/corpus/1"
_JUDGES = ("judge", "second_judge")


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as it is, of a size that people write.

    Raises:
        DocumentError: it is missing, too large, or not a regular file.
        ValueError, RecursionError: not TOML, or with numbers or keys beyond the limits of a document.
    """
    return toml_of(read_bytes(path, LARGEST_TOML))


def completed(data: dict[str, Any], path: Path) -> dict[str, Any]:
    """A recipe with what its corpora say; any other document as it is.

    Raises:
        DocumentError: unknown corpus (the nearest name is offered), key of the wrong type, two corpora that contradict
            each other, corpora that name each other in a circle, or a judge that none of them has. The file and
            the key are named.
    """
    if data.get("schema") != RECIPE_SCHEMA or not {"corpora", "judges"} & data.keys():
        return data
    merged = _with_corpora(data, path, (path,))
    judges = _judges(merged.pop("judges", {}), path)
    tracks = merged.get("tracks")
    if isinstance(tracks, list):
        merged["tracks"] = [_judged(track, judges, f"tracks.{i}", path) for i, track in enumerate(tracks)]
    return merged


def _with_corpora(data: dict[str, Any], path: Path, chain: tuple[Path, ...]) -> dict[str, Any]:
    """A table with what the corpora that it names say, each read with its own corpora."""
    own = {key: value for key, value in data.items() if key != "corpora"}
    shared: dict[str, Any] = {}
    origin: dict[str, Path] = {}
    for name in _names(data.get("corpora", []), path):
        found = _find(name, path)
        if found in chain:
            circle = " -> ".join(file.stem for file in (*chain, found))
            raise DocumentError(f"corpora: '{name}' names itself again ({circle})", where=path)
        try:
            part = read_toml(found)
        except (ValueError, RecursionError) as error:
            raise DocumentError(f"corpora: not a TOML file ({str(error)[:200]})", where=found) from error
        if part.pop("schema", None) != CORPUS_SCHEMA:
            raise DocumentError("not a corpus", where=found, expected=f"schema = {CORPUS_SCHEMA!r}")
        part = _with_corpora(part, found, (*chain, found))
        _refuse_contradictions(shared, part, origin, found, path)
        shared = _overlaid(shared, part, "", found)
        origin |= dict.fromkeys(_leaves(part), found)
    return _overlaid(shared, own, "", path)


def _names(value: Any, path: Path) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) and re.match(NAME_PATTERN, name) for name in value):
        raise DocumentError(f"corpora: {str(value)[:80]!r}", where=path, expected='a list of names, like ["mnist"]')
    return value


def _find(name: str, path: Path) -> Path:
    try:
        return content.find("corpora", name)
    except UnknownNameError as error:
        raise DocumentError(f"corpora: {error.what}", where=path, expected=error.expected) from error


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any], at: str, path: Path) -> dict[str, Any]:
    """Two tables in one, key by key; lists and values of `above` replace those of `below`.

    Raises:
        DocumentError: a table where the other has a value.
    """
    merged = dict(below)
    for key, value in above.items():
        where = f"{at}{key}"
        if key in below and isinstance(value, dict) != isinstance(below[key], dict):
            kinds = {True: "a table", False: "not a table"}
            raise DocumentError(
                f"{where}: {kinds[isinstance(value, dict)]}",
                where=path,
                expected=f"{kinds[isinstance(below[key], dict)]}, as in the corpora",
            )
        both = key in below and isinstance(value, dict)
        merged[key] = _overlaid(below[key], value, f"{where}.", path) if both else value
    return merged


def _leaves(table: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Every value by its dotted key."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= _leaves(value, f"{at}{key}.") if isinstance(value, dict) else {f"{at}{key}": value}
    return found


def _refuse_contradictions(
    shared: Mapping[str, Any], part: Mapping[str, Any], origin: Mapping[str, Path], found: Path, path: Path
) -> None:
    known = _leaves(shared)
    problems = [
        f"{key}: differs between {origin[key].stem} and {found.stem}"
        for key, value in _leaves(part).items()
        if key in known and known[key] != value
    ]
    if problems:
        raise DocumentError("the corpora contradict each other", where=path, problems=problems)


def _judges(value: Any, path: Path) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(sha256, str) for sha256 in value.values()):
        raise DocumentError(f"judges: {str(value)[:80]!r}", where=path, expected="a table of sha256 by name")
    return value


def _judged(track: Any, judges: Mapping[str, str], at: str, path: Path) -> Any:
    """A track whose judges, where they are bare names, have their sha256."""
    if not isinstance(track, dict):
        return track
    named = {key: track[key] for key in _JUDGES if isinstance(track.get(key), str)}
    for key, name in named.items():
        if name not in judges:
            raise DocumentError(
                f"{at}.{key}: no judge is called '{name}' here",
                where=path,
                expected=", ".join(sorted(judges)) or "{ name, sha256 }, or corpora that have judges",
            )
    return {**track, **{key: {"name": name, "sha256": judges[name]} for key, name in named.items()}}
