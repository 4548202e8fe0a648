"""What every document has in common: `schema` first, no unknown key, all problems reported at once."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from xmbench.errors import DocumentError, nearest
from xmbench.formats.text_checks import half_characters
from xmbench.storage.files import read_bytes

ID_PATTERN = r"^[a-z0-9-]+$"
NAME_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"


class Part(BaseModel):
    """A table inside a document: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Document(Part):
    """A document of its own. Subclasses declare `schema_` as a Literal with alias "schema"."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=())

    def canonical_json(self) -> str:
        """Keys sorted, no spaces, defaults left out: a new optional key changes no older document's digest."""
        return json.dumps(
            self.model_dump(mode="json", by_alias=True, exclude_defaults=True),
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        )

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON, hexadecimal."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    def to_json(self) -> str:
        """JSON for people: indented, in the order of the fields, newline at the end."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False) + "\n"


AnyDocument = TypeVar("AnyDocument", bound=BaseModel)


def load_toml(path: Path, kind: type[AnyDocument]) -> AnyDocument:
    """Reads and checks a TOML document.

    Raises:
        DocumentError: no TOML, or it does not fit `kind`; every problem is listed.
    """
    try:
        data = tomllib.loads(read_bytes(path).decode())
    except (ValueError, RecursionError) as error:
        raise DocumentError("not a TOML file", where=path, expected=str(error)) from error
    return parse(data, kind, path)


def load_json(path: Path, kind: type[AnyDocument]) -> AnyDocument:
    """Reads and checks a JSON document.

    Raises:
        DocumentError: no JSON, or it does not fit `kind`; every problem is listed.
    """
    try:
        data = json.loads(read_bytes(path), parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise DocumentError("not a JSON file", where=path, expected=str(error)) from error
    return parse(data, kind, path)


def _finite(text: str) -> float:
    """Python reads NaN and Infinity, which are no JSON; a score of 1e999 is none either."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is no finite number")
    return value


def parse(data: Any, kind: type[AnyDocument], where: object) -> AnyDocument:
    """Checks parsed data against a document type.

    Raises:
        DocumentError: with every problem: the field, what was found, what was expected.
    """
    if not isinstance(data, dict):
        raise DocumentError(f"the document is a {type(data).__name__}", where=where, expected="a table of keys")
    if problems := list(half_characters(data)):
        raise DocumentError("the document holds text that is no text", where=where, problems=problems)
    wanted = _schema_of(kind)
    if wanted and data.get("schema") != wanted:
        raise DocumentError(
            f"the document's schema is {data.get('schema')!r}",
            where=where,
            expected=f"schema = {wanted!r}",
            todo="check that this is the right kind of file, and that xmbench is new enough to read it",
        )
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        problems = [_problem(item, kind) for item in error.errors()]
        raise DocumentError("the document does not fit its schema", where=where, problems=problems) from error


def _schema_of(kind: type[BaseModel]) -> str | None:
    declared = kind.model_fields.get("schema_")
    return str(get_args(declared.annotation)[0]) if declared is not None else None


def _problem(item: Any, kind: type[BaseModel]) -> str:
    path = item["loc"]
    field = ".".join(str(step) for step in path) or "(the document)"
    if item["type"] == "extra_forbidden":
        known = _fields_at(kind, path[:-1])
        return f"{field}: unknown key; {nearest(str(path[-1]), known)}"
    if item["type"] == "missing":
        return f"{field}: missing"
    shown = repr(item.get("input"))
    return f"{field}: {item['msg']} (found {shown[:80]})"


def _fields_at(kind: Any, path: tuple[int | str, ...]) -> list[str]:
    """Keys that the table at `path` may have, found by walking the annotations."""
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
