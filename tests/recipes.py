"""Recipes as TOML files, for tests that change one and build it by its path."""

from __future__ import annotations

import json
from typing import Any

from xmbench.formats.recipe import Recipe


def toml_of(recipe: Recipe) -> str:
    """A recipe as one TOML file that names no corpus."""
    return _table(json.loads(recipe.to_json()))


def _table(table: dict[str, Any], at: str = "") -> str:
    """JSON's values are TOML's, but for tables inside lists and for null."""
    plain = {key: value for key, value in table.items() if not isinstance(value, dict) and value is not None}
    lines = [f"{key} = {_inline(value)}" for key, value in plain.items()]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += [f"[{at}{key}]", _table(value, f"{at}{key}.")]
    return "\n".join(lines) + "\n"


def _inline(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_inline(v)}" for key, v in value.items() if v is not None) + "}"
    return json.dumps(value, ensure_ascii=False)
