"""Licences of what judges are trained on, as a directory of it states them: `licences.json`, next to the items."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from xmbench.errors import DatasetError

FILE = "licences.json"  # the beginning of a name (of a voice, of a class) -> licence
UNSTATED = "unstated"


def licences(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Family of names -> licence, as the directory's `licences.json` states it; by the beginning of a name.

    Raises:
        DatasetError: the file cannot be read.
    """
    path = folder / FILE
    try:
        known = json.loads(path.read_bytes()) if path.is_file() else {}
        said = {str(family): str(licence) for family, licence in known.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise DatasetError("the licences cannot be read", where=path, expected="name -> licence") from error
    found = {}
    for name in names:
        family = max((known for known in said if name.startswith(known)), key=len, default=name)
        found[family] = said.get(family, UNSTATED)
    return dict(sorted(found.items()))
