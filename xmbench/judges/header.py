"""The header of a judge's weights, read without the package that computes with them."""

from __future__ import annotations

import json
from typing import Any

from xmbench.errors import PrerequisiteError


def header(data: bytes) -> dict[str, Any]:
    """The header of a judge's file: its "format" and more.

    Raises:
        PrerequisiteError: not the weights of a judge.
    """
    try:
        size = int.from_bytes(data[:8], "little")
        about = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["judge"])
        if not isinstance(about, dict) or not isinstance(about.get("format"), str):
            raise TypeError("no format")
    except Exception as error:  # any damage to the file
        raise PrerequisiteError("the judge's weights cannot be read", expected="a safetensors file") from error
    return about
