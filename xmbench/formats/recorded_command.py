"""Submissions of the first schema: which baseline made them is stated only in the recorded command.

This is the only place where a command is parsed, once, when such a document is loaded. Since the second schema the
runner writes these facts as fields, and commands are never parsed.
"""

from __future__ import annotations

import json
import shlex
from itertools import pairwise
from typing import Any

_RUNNER = ["xmbench"]  # the authors that the runner wrote: other authors' commands prove nothing


def with_facts(data: dict[str, Any]) -> dict[str, Any]:
    """A submission of the first schema, as it was read, with the fields that its command gives."""
    return {**_facts(str(data.get("command", "")), data.get("authors")), **data}


def _facts(command: str, authors: object) -> dict[str, Any]:
    """`baseline`, `preset`, `changed` and `control` of a run, from the command that the runner recorded.

    Args:
        command: as in the document.
        authors: as in the document.

    Returns:
        The fields that the command gives; none where the runner did not write it.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        return {}
    if words[:2] != ["xmbench", "run-baseline"] or len(words) < 3 or authors != _RUNNER:
        return {}
    found: dict[str, Any] = {"baseline": words[2]}
    for option, value in pairwise(words[3:]):
        if option == "--preset":
            found["preset"] = value
        elif option == "--set":
            key, _, text = value.partition("=")
            found["changed"] = {**found.get("changed", {}), key: _setting(text)}
    if "--shuffle-conditions" in words:
        found["control"] = "shuffled-conditions"
    return found


def _setting(text: str) -> Any:
    """The runner wrote each setting as JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text
