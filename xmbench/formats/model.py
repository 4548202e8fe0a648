"""Base classes of all documents and their tables: frozen, unknown keys refused, a digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

ID_PATTERN = r"^[a-z0-9-]+$"
NAME_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"


def digest_of(value: Any) -> str:
    """sha256 of the canonical JSON (keys sorted, no spaces), hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Part(BaseModel):
    """A table inside a document: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Document(Part):
    """A document. Subclasses declare `schema_` as a Literal with alias "schema"."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=())

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON without defaults: a new optional key changes no older document's digest."""
        return digest_of(self.model_dump(mode="json", by_alias=True, exclude_defaults=True))

    def to_json(self) -> str:
        """Readable JSON: indented, in the order of the fields, newline at the end."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False) + "\n"
