"""Fits a small annotator to a user's files, and writes its weights with their card."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from xmbench import registry
from xmbench.errors import PrerequisiteError, UpstreamError
from xmbench.interfaces import FittableAnnotator
from xmbench.storage.files import output_file, write_bytes, write_text


def fit(name: str, folder: Path, out: Path) -> dict[str, Any]:
    """Writes `out` and `out` with the ending .json; returns the card.

    Raises:
        UnknownNameError: no such annotator.
        PrerequisiteError: it cannot be fitted.
        UpstreamError: the directory does not hold its training data.
        OutputError: the files cannot be written.
    """
    kind = registry.annotator(name)
    if not isinstance(kind, FittableAnnotator):
        able = [other for other in registry.names("annotators") if _fittable(other)]
        raise PrerequisiteError(f"{name} cannot be fitted: its weights are published", expected=", ".join(able))
    if not folder.is_dir():
        raise UpstreamError("no such directory", where=folder)
    output_file(out)
    found = kind.fit(folder)
    card = {
        "name": name,
        "sha256": hashlib.sha256(found.weights).hexdigest(),
        "bytes": len(found.weights),
        **found.card,
        "command": f"xmbench fit-annotator {name} DIR --out {out.name}",
        "versions": {package: version(package) for package in ("numpy", "scikit-learn")},
    }
    write_bytes(out, found.weights)
    write_text(out.with_suffix(".json"), json.dumps(card, indent=1) + "\n")
    return card


def _fittable(name: str) -> bool:
    return isinstance(registry.annotator(name), FittableAnnotator)
