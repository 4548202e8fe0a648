"""Reads documents: checks the `schema`, migrates older ones, refuses unknown keys, reports all problems at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from xmbench.errors import MAX_LISTED, DocumentError, nearest
from xmbench.formats import corpora, migrate
from xmbench.formats.extremes import json_of
from xmbench.formats.model import ID_PATTERN, NAME_PATTERN, SHA256_PATTERN, Document, Part
from xmbench.formats.text_checks import half_characters
from xmbench.printable import visible
from xmbench.storage.files import LARGEST_DOCUMENT, read_bytes

__all__ = (
    "ID_PATTERN",
    "NAME_PATTERN",
    "SHA256_PATTERN",
    "AnyDocument",
    "Document",
    "Part",
    "load_json",
    "load_toml",
    "parse",
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A document's name in messages, what to do where it was cut or edited, its largest size in bytes."""

    name: str
    todo: str
    largest: int = LARGEST_DOCUMENT


_KINDS = {
    "dataset": _Kind("a dataset manifest", "restore the file, or build the data set again with --rebuild"),
    "submission": _Kind("a submission document", "restore the file, or write it again next to the outputs", 1 << 22),
    "result": _Kind("a result", "restore the file, or score the submission again", 1 << 24),
    "run": _Kind("the record of a run", "restore the file, or run the baseline in another directory (--out)", 1 << 24),
    "recipe": _Kind("a recipe", "correct the file; `xmbench list recipes` names the ones that are installed"),
    "harvest": _Kind("a harvest", "run the same `xmbench harvest` again", 1 << 28),
    "baseline": _Kind("a baseline", "correct the file; `xmbench list baselines` names the ones that are installed"),
}


AnyDocument = TypeVar("AnyDocument", bound=BaseModel)


def load_toml(path: Path, kind: type[AnyDocument]) -> AnyDocument:
    """Reads and checks a TOML document; a recipe is completed from the corpora that it names.

    Raises:
        DocumentError: not TOML, or it does not fit `kind`; every problem is listed.
    """
    try:
        data = corpora.read_toml(path)
    except (ValueError, RecursionError) as error:
        raise _unreadable("not a TOML file", kind, path, error) from error
    complete = corpora.completed(data, path)
    named = data.get("corpora")
    where = f"{path}, with the corpora {', '.join(named)}" if named and complete is not data else path
    return parse(complete, kind, where)


def load_json(path: Path, kind: type[AnyDocument]) -> AnyDocument:
    """Reads and checks a JSON document.

    Raises:
        DocumentError: not JSON, or it does not fit `kind`; every problem is listed.
    """
    raw = read_bytes(path, _KINDS[_middle(kind)].largest if _middle(kind) in _KINDS else LARGEST_DOCUMENT)
    try:
        data = json_of(raw)
    except (ValueError, RecursionError) as error:
        raise _unreadable("not a JSON file", kind, path, error) from error
    return parse(data, kind, path)


def _unreadable(what: str, kind: type[BaseModel], path: Path, error: Exception) -> DocumentError:
    told = "tables nested without end" if isinstance(error, RecursionError) else str(error)
    return DocumentError(f"{_not_a(kind)}: {what} ({visible(told)[:200]})", where=path, todo=_way_out(kind))


def parse(data: Any, kind: type[AnyDocument], where: object) -> AnyDocument:
    """Checks parsed data against a document type.

    Raises:
        DocumentError: with every problem: the field, what was found, what was expected.
    """
    if not isinstance(data, dict):
        raise DocumentError(
            f"{_not_a(kind)}: the document is a {type(data).__name__}",
            where=where,
            expected="a table of keys",
            todo=_way_out(kind),
        )
    if problems := list(half_characters(data)):
        raise DocumentError(
            f"{_not_a(kind)}: it holds text that is not valid Unicode",
            where=where,
            problems=problems,
            todo=_way_out(kind),
        )
    wanted = _schema_of(kind)
    data = migrate.migrated(data, wanted)
    if wanted and data.get("schema") != wanted:
        raise DocumentError(
            f"{_not_a(kind)}: the document's schema is {repr(data.get('schema'))[:80]}",
            where=where,
            expected=f"schema = {wanted!r}",
            todo="check that this is the right kind of file, and that xmbench is new enough to read it",
        )
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = [_problem(item, kind) for item in found[:MAX_LISTED]]
        problems += [str(item["loc"])[:80] for item in found[MAX_LISTED:]]  # counted, not shown
        raise DocumentError(
            f"{_not_a(kind)}: the document does not fit its schema", where=where, problems=problems, todo=_way_out(kind)
        ) from error


def _schema_of(kind: type[BaseModel]) -> str | None:
    declared = kind.model_fields.get("schema_")
    return str(get_args(declared.annotation)[0]) if declared is not None else None


def _middle(kind: type[BaseModel]) -> str:
    """`dataset` of `xmbench/dataset/1`."""
    return (_schema_of(kind) or "//").split("/")[1]


def _not_a(kind: type[BaseModel]) -> str:
    name = _middle(kind)
    return f"not {_KINDS[name].name if name in _KINDS else f'a {name} document'}"


def _way_out(kind: type[BaseModel]) -> str:
    name = _middle(kind)
    return _KINDS[name].todo if name in _KINDS else "restore the file, or give another one"


def _problem(item: Any, kind: type[BaseModel]) -> str:
    path = item["loc"]
    field = ".".join(str(step)[:200] for step in path) or "(the document)"
    if item["type"] == "extra_forbidden":
        known = _fields_at(kind, path[:-1])
        return f"{field}: unknown key; {nearest(str(path[-1])[:200], known)}"
    if item["type"] == "missing":
        return f"{field}: missing"
    shown = repr(item.get("input"))
    return f"{field}: {item['msg']} (found {shown[:80]})"


def _fields_at(kind: Any, path: tuple[int | str, ...]) -> list[str]:
    """Keys that the table at `path` may have, from the annotations."""
    current = kind
    for step in path:
        if _is_model(current):
            current = _field_type(current, str(step))
        else:
            arguments = [a for a in get_args(current) if a is not type(None) and a is not Ellipsis]
            current = arguments[-1] if arguments else None
        current = _unwrap(current)
    if not _is_model(current):
        return []
    return [field.alias or name for name, field in current.model_fields.items()]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _field_type(kind: type[BaseModel], name: str) -> Any:
    for known, field in kind.model_fields.items():
        if name in (known, field.alias):
            return field.annotation
    return None


def _unwrap(kind: Any) -> Any:
    """`X | None` -> X; everything else as it is."""
    options = [a for a in get_args(kind) if a is not type(None)]
    return options[0] if type(None) in get_args(kind) and len(options) == 1 else kind
